"""Models made for the tests; TensorFlow writes them in a process of its own."""

from pathlib import Path

import pytest

from tests.made_models import made

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
tf.saved_model.save(module, sys.argv[1] + "/1", signatures={"serving_default": module.count})
"""


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that counts to the number it is sent, one step at a time."""
    return made(tmp_path_factory, _SLOW) / "1"


_TIMES = """
import sys, tensorflow as tf

for k in range(1, 8):
    module = tf.Module()
    module.times = tf.function(
        lambda x, k=k: {"y": x * float(k)}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    tf.saved_model.save(module, f"{sys.argv[1]}/{k}", signatures={"serving_default": module.times})

module.times = tf.function(
    lambda x: {"y": tf.gather(2.0 * tf.range(19.0), tf.cast(x, tf.int32))},
    input_signature=[tf.TensorSpec([None], tf.float32, name="x")],
)
tf.saved_model.save(module, f"{sys.argv[1]}-picky/2", signatures={"serving_default": module.times})
"""


@pytest.fixture(scope="session")
def times_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the versions 1 to 7 of a model; version k computes y = k x."""
    return made(tmp_path_factory, _TIMES)


@pytest.fixture(scope="session")
def picky_version(times_models: Path) -> Path:
    """Version 2 of that model, but for x of 19 and more: for these it has no answer."""
    return times_models.with_name(f"{times_models.name}-picky") / "2"


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
path = pathlib.Path(sys.argv[1]) / "ragged" / "1"
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
    return made(tmp_path_factory, _RAGGED)


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

def of_examples(use):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def parsed(inputs):
        return use(tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([2], tf.float32)})["x"])
    return parsed

@function(("inputs", tf.string), ("more", tf.string))
def two(inputs, more):
    return {"scores": tf.zeros([tf.shape(inputs)[0], 1])}

save(
    "examples",
    classify=of_examples(lambda x: {"scores": x * 2, "classes": tf.strings.as_string(tf.cast(x, tf.int32))}),
    regress=of_examples(lambda x: {"outputs": tf.reduce_sum(x, 1)}),
    two=two,
    three=of_examples(lambda x: {"scores": x, "classes": tf.strings.as_string(x), "more": x}),
    flat=of_examples(lambda x: {"scores": x[:, 0]}),
    double=of_examples(lambda x: {"scores": tf.cast(x, tf.float64), "outputs": tf.cast(x[:, 0], tf.float64)}),
    uneven=of_examples(lambda x: {"scores": x[:, :1], "classes": tf.strings.as_string(x)}),
    short=of_examples(lambda x: {"scores": x[:1]}),
    half=of_examples(lambda x: {"outputs": tf.cast(x[:, 0], tf.float64)}),
    wide=of_examples(lambda x: {"outputs": x}),
    cut=of_examples(lambda x: {"outputs": x[:1, 0]}),
)
save("complex", serving_default=mixed, real=real)
save("only", double=double)
save("several", double=double, triple=triple)
"""


@pytest.fixture(scope="session")
def odd_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models whose tensors or signatures some dialects cannot tell; x (n,) float32 -> y = 2 x.

    complex: `serving_default` gives z = x - ix and q, quantised, too; `real` takes z. only: has one signature, `double`.
    several: has `double` and `triple`. examples: has signatures for Classify and Regress, each with an input tensor of its own,
    good ones (`classify`, `regress`) and others.
    """
    return made(tmp_path_factory, _ODD)


_ROWS = """
import sys, tensorflow as tf

FOUR, TEXT = tf.TensorSpec([None, 4], tf.float32, name="x"), tf.TensorSpec([None], tf.string, name="text")
INTS, RAGGED = tf.TensorSpec([None, 4], tf.int32, name="x"), tf.TensorSpec([None, None], tf.int32, name="ids")
weights = tf.Variable(tf.reshape(tf.range(12.0), [4, 3]) / 7 - 0.8)


def checked(condition, x):
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(condition), ["refused"])]):
        return tf.identity(x)


def picture(data):
    return tf.reduce_mean(tf.cast(tf.io.decode_png(data, channels=1), tf.float32))


SIGNATURES = {
    "serving_default": (FOUR, lambda x: tf.nn.softmax(x @ weights + 0.5)),
    "ints": (INTS, lambda x: tf.reduce_sum(x * x, 1)),
    "text": (TEXT, lambda text: tf.strings.join(["<", text, ">"])),
    "positive": (FOUR, lambda x: tf.sqrt(checked(x >= 0, x))),
    "flags": (FOUR, lambda x: checked(x * x == x, x) + 1),
    "pictures": (TEXT, lambda text: tf.map_fn(picture, text, fn_output_signature=tf.float32)),
    "lengths": (RAGGED, lambda ids: tf.reduce_sum(ids, 1)),
    "softmax": (FOUR, lambda x: tf.nn.softmax(x, axis=0)),
    "sort": (FOUR, lambda x: tf.sort(x, axis=0)),
    "mean": (FOUR, lambda x: x - tf.reduce_mean(x, 0)),
    "cumsum": (FOUR, lambda x: tf.cumsum(x)),
    "batch_norm": (FOUR, lambda x: (x - tf.reduce_mean(x, 0)) * tf.math.rsqrt(tf.math.reduce_variance(x, 0) + 1e-3)),
    "dropout": (FOUR, lambda x: x * tf.cast(tf.random.uniform(tf.shape(x)) > 0.5, tf.float32)),
    "position": (INTS, lambda x: x[:, 0] + tf.range(tf.shape(x)[0])),
    "size": (FOUR, lambda x: x * tf.cast(tf.shape(x)[0], tf.float32)),
    "large": (FOUR, lambda x: x * tf.cast(1 + tf.shape(x)[0] // 40, tf.float32)),
    "joint_text": (TEXT, lambda text: tf.fill(tf.shape(text), tf.strings.reduce_join(text))),
    "some": (FOUR, lambda x: tf.boolean_mask(x, x[:, 0] > 2)),
    "total": (FOUR, lambda x: tf.reduce_sum(x)),
    "alike": (FOUR, lambda x: tf.zeros_like(x)),
    "never": (FOUR, lambda x: checked(x == 77, x)),
}
module = tf.Module()
module.weights = weights
functions = {}
for name, (spec, function) in SIGNATURES.items():
    functions[name] = tf.function(eval(f"lambda {spec.name}: {{'y': given({spec.name})}}", {"given": function}), [spec])
functions["constant"] = tf.function(lambda: {"y": tf.constant([1.0, 2.0, 3.0]), "z": tf.constant(7)}, [])
module.functions = functions
tf.saved_model.save(module, sys.argv[1] + "/rows/1", signatures=functions)
"""


@pytest.fixture(scope="session")
def rows_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, `rows`, without a card: signatures whose rows depend on each other, and some that do not.

    One, `constant`, has no inputs: y (3,) float32, z () int32.
    """
    return made(tmp_path_factory, _ROWS)
