"""The reference of an export: which rows it is made of, for which signatures."""

import json

import numpy as np
import pytest

from signet.serving.models import distribution, model_card
from tests.training.late import Late, keras, layers, tf

reference = Late("signet.training.export.reference")


def endpoint(**inputs):
    from signet.training.model import Endpoint

    return Endpoint([tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in inputs.items()], None, None)


def test_rows_are_taken_evenly_and_bounded():
    made = reference.bounded({"x": np.arange(10_000), "y": np.zeros((10_000, 3))})
    assert len(made["x"]) == reference.MOST_ROWS == len(made["y"])
    assert (made["x"][0], made["x"][-1]) == (0, 9_999)
    large = np.zeros((20, reference.MOST_BYTES // 80))
    assert len(reference.bounded({"x": large})["x"]) == 10


def test_signatures_that_take_the_rows_as_they_are_have_them(tmp_path):
    reference.keep(tmp_path, {"words": np.zeros((60, 7), np.int64), "extra": np.zeros(60)})
    endpoints = {
        "numbers": endpoint(words=([None, None], tf.int32)),
        "texts": endpoint(words=([None], tf.string)),
        "fixed": endpoint(words=([None, 8], tf.int32)),
        "others": endpoint(words=([None, None], tf.int32), more=([None], tf.float32)),
    }
    taken = reference.take(tmp_path, endpoints)
    assert list(taken) == ["numbers"]
    assert list(taken["numbers"]) == ["words"]
    assert taken["numbers"]["words"].dtype == np.int32
    assert reference.take(tmp_path / "nowhere", endpoints) == {}


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # Keras' own
@pytest.mark.parametrize(("rows", "known"), [(60, True), (distribution.LEAST_ROWS - 1, False)])
def test_example_rows_become_the_reference(tmp_path, rows, known):
    from signet.training.export.description import describe
    from signet.training.export.options import ExportOptions

    age = keras.Input((1,), name="age")
    model = keras.Model({"age": age}, {"risk": layers.Dense(1, name="risk")(age)})
    model.save(tmp_path / "model.keras")
    values = np.linspace(20, 80, rows)[:, np.newaxis]
    (tmp_path / "rows.json").write_text(json.dumps({"age": values.tolist()}))
    options = ExportOptions(tmp_path / "model.keras", "risk", example=tmp_path / "rows.json")
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "model.json").write_text(json.dumps(describe(options)))
    Late("signet.training.export.write").write(tmp_path / "trained", tmp_path / "1")
    found = model_card.read(tmp_path / "1").reference("serving_default")
    assert (found is not None) is known
    if found:
        assert (found.rows, found.source, list(found.columns)) == (rows, "example rows", ["age", "output.risk"])
        assert found.columns["age"].facts["min"] == 20
