"""`signet.export` and `signet.ExportBest`: models in memory, with classes that were defined in the script itself."""

import json
import subprocess
import sys

import numpy as np
import pytest

import signet
from signet.serving.engine import loading
from tests import servers
from tests.training.late import keras

_SCRIPT = """
import json, sys
import keras
import numpy as np
import signet


class Scaled(keras.layers.Layer):  # as in a notebook: nobody can import it, and it is not registered with Keras
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def bent(x):
    return keras.ops.tanh(x) * 2


keras.utils.set_random_seed(1)
size, place = keras.Input((1,), name="size"), keras.Input((2,), name="place")
hidden = Scaled(3.0)(keras.layers.Dense(4, activation=bent)(keras.layers.Concatenate()([size, place])))
kind = keras.layers.Dense(3, activation="softmax")(hidden)
model = keras.Model({"size": size, "place": place}, {"price": keras.layers.Dense(1)(hidden), "kind": kind})
model.compile(keras.optimizers.SGD(0.5), {"price": "mse", "kind": "sparse_categorical_crossentropy"})
random = np.random.default_rng(0)
rows = {"size": random.normal(size=(64, 1)), "place": random.normal(size=(64, 2))}
targets = {"price": rows["size"] * 2, "kind": random.integers(3, size=64)}


class Weights(keras.callbacks.Callback):
    seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((logs["loss"], self.model.predict(rows, verbose=0)))


best = signet.ExportBest("houses", sys.argv[1], monitor="loss", labels={"kind": ["hut", "flat", "villa"]})
model.fit(rows, targets, epochs=4, callbacks=[best, Weights()], verbose=0)
losses = [loss for loss, _ in Weights.seen]
_, answers = Weights.seen[int(np.argmin(losses))]
refused = None
try:
    signet.export(model, "houses", sys.argv[1], renames={"size": "square_metres"})
except signet.errors.SignetError as error:
    refused = str(error)
print(json.dumps({
    "best": best.best_epoch,
    "losses": losses,
    "path": str(best.exported.path),
    "outputs": list(best.exported.card["signatures"]["serving_default"]["outputs"]),
    "rows": {name: array.tolist() for name, array in rows.items()},
    "price": answers["price"].tolist(),
    "refused": refused,
}))
"""


def test_the_best_epoch_is_exported_with_the_classes_of_the_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(_SCRIPT)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(servers.ROOT)!r}); sys.argv[0] = {str(script)!r}; "
               "exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))", tmp_path / "models"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["best"] == 1 + int(np.argmin(said["losses"]))
    assert said["path"] == str(tmp_path / "models" / "houses" / "1")
    assert sorted(said["outputs"]) == ["kind", "kind_label", "price"]
    assert "input 'square_metres' is new" in said["refused"]
    servable = loading.Loader()("houses", 1, tmp_path / "models" / "houses" / "1")
    try:
        rows = {name: np.array(values, np.float32) for name, values in said["rows"].items()}
        answers = servable.predict(servable.signatures["serving_default"], rows)
    finally:
        servable.close()
    np.testing.assert_allclose(answers["price"], said["price"], rtol=1e-3, atol=1e-4)


def test_what_cannot_be_exported_is_one_sentence(tmp_path):
    x = keras.Input((2,), name="x")
    model = keras.Model(x, keras.layers.Dense(1, name="y")(x))
    with pytest.raises(signet.errors.SignetError, match=r"expected a Keras 3 model, found builtins\.dict"):
        signet.export({}, "x", tmp_path)
    with pytest.raises(signet.errors.SignetError, match="--name 'a/b': a model's name is a part of addresses"):
        signet.export(model, "a/b", tmp_path)
    with pytest.raises(signet.errors.SignetError, match="expected rows by input"):
        signet.export(model, "x", tmp_path, example=[[1, 2]])
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_no_epoch_reports_is_said_at_the_first_epoch(tmp_path):
    x = keras.Input((2,), name="x")
    model = keras.Model(x, keras.layers.Dense(1, name="y")(x))
    model.compile("sgd", "mse")
    with pytest.raises(
        signet.errors.SignetError, match="the epochs report no 'val_loss', only loss; monitor=… names one"
    ):
        model.fit(np.ones((8, 2)), np.ones((8, 1)), callbacks=[signet.ExportBest("x", tmp_path)], verbose=0)
