"""Models made for the tests; TensorFlow writes them in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

_SLOW = """
import sys, tensorflow as tf

class Slow(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="steps")])
    def count(self, steps):
        count = tf.zeros_like(steps)
        for _ in tf.range(steps[0]):
            count = count + 1
        return {"count": count}

module = Slow()
tf.saved_model.save(module, sys.argv[1], signatures={"serving_default": module.count})
"""


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that counts to the number it is sent, one step at a time."""
    path = tmp_path_factory.mktemp("slow") / "1"
    script = path.with_name("slow.py")  # TensorFlow turns the loop into a graph from its source
    script.write_text(_SLOW)
    subprocess.run([sys.executable, script, path], check=True, capture_output=True)
    return path


_TIMES = """
import sys, tensorflow as tf

for k in range(1, 8):
    module = tf.Module()
    module.times = tf.function(
        lambda x, k=k: {"y": x * float(k)}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    tf.saved_model.save(module, f"{sys.argv[1]}/{k}", signatures={"serving_default": module.times})
"""


@pytest.fixture(scope="session")
def times_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the versions 1 to 7 of a model; version k computes y = k x."""
    path = tmp_path_factory.mktemp("times")
    script = path.with_name("times.py")
    script.write_text(_TIMES)
    subprocess.run([sys.executable, script, path], check=True, capture_output=True)
    return path


_RAGGED = """
import json, pathlib, sys, tensorflow as tf

module = tf.Module()
module.sums = tf.function(
    lambda ids, weights: {
        "total": tf.reduce_sum(tf.cast(ids, tf.float32)[:, :, None] * weights, [1, 2])[:, None],
        "longest": tf.reduce_sum(tf.cast(ids > 0, tf.int32), 1),
    },
    input_signature=[
        tf.TensorSpec([None, None], tf.int32, name="ids"), tf.TensorSpec([None, None, 2], tf.float32, name="weights")
    ],
)
module.lengths = tf.function(
    lambda ids: {"length": tf.fill([tf.shape(ids)[0]], tf.shape(ids)[1])},
    input_signature=[tf.TensorSpec([None, None], tf.int32, name="ids")],
)
path = pathlib.Path(sys.argv[1])
tf.saved_model.save(module, path, signatures={"serving_default": module.sums, "lengths": module.lengths})
(path / "assets.extra").mkdir()
padding = {"value": 0, "safe": True, "inputs": {"ids": [1], "weights": [1]}}
card = {"signatures": {"serving_default": {"padding": padding}, "lengths": {"padding": {**padding, "safe": False}}}}
(path / "assets.extra" / "model-card.json").write_text(json.dumps(card))
"""


@pytest.fixture(scope="session")
def ragged_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, `ragged`, whose card says that more zeros change no answer of `serving_default`.

    ids (n, m) int32, weights (n, m, 2) float32 -> total (n, 1), longest (n,); of the signature `lengths` it says that
    they do.
    """
    folder = tmp_path_factory.mktemp("models")
    script = folder.with_name("ragged.py")
    script.write_text(_RAGGED)
    subprocess.run([sys.executable, script, folder / "ragged" / "1"], check=True, capture_output=True)
    return folder


_ODD = """
import sys, tensorflow as tf

def save(name, **functions):
    module = tf.Module()
    module.functions = functions
    tf.saved_model.save(module, f"{sys.argv[1]}/{name}/1", signatures=functions)

def function(*specs):
    return tf.function(input_signature=[tf.TensorSpec([None], dtype, name=name) for name, dtype in specs])

@function(("x", tf.float32))
def mixed(x):
    z = tf.complex(x, -x)
    q = tf.quantization.quantize(x, -1.0, 1.0, tf.quint8).output
    return {"y": 2 * x, "z": z, "q": q}

@function(("z", tf.complex64))
def real(z):
    return {"x": tf.math.real(z)}

@function(("x", tf.float32))
def double(x):
    return {"y": 2 * x}

@function(("x", tf.float32))
def triple(x):
    return {"y": 3 * x}

save("complex", serving_default=mixed, real=real)
save("only", double=double)
save("several", double=double, triple=triple)
"""


@pytest.fixture(scope="session")
def odd_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models whose tensors or signatures some dialects cannot tell; x (n,) float32 -> y = 2 x.

    complex: `serving_default` gives z = x - ix and q, quantised, too; `real` takes z. only: has one signature, `double`.
    several: has `double` and `triple`.
    """
    folder = tmp_path_factory.mktemp("odd")
    script = folder.with_name("odd.py")
    script.write_text(_ODD)
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder
