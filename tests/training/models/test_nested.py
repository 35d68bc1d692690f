import numpy as np
import pytest

from signet.training.model import BadOption
from tests.training import exported, late
from tests.training.late import keras

nested = late.model("nested")


@pytest.fixture(scope="module")
def data():
    return nested.load(None, "quick", 0)


@pytest.fixture(scope="module")
def model(data):
    keras.utils.set_random_seed(0)
    model = nested.build_model(data.config)
    recipe = nested.PRESETS["quick"]
    nested.compile_model(model, recipe, steps=500)
    rows = data.epoch(0)
    losses = [model.evaluate(rows.inputs, rows.targets, verbose=0)[0]]
    for _ in range(4):
        losses += model.fit(rows.inputs, rows.targets, batch_size=32, verbose=0).history["loss"]
    model.losses_seen = losses
    return model


def test_the_loss_falls(model):
    assert model.losses_seen[1] < model.losses_seen[0]
    assert model.losses_seen[-1] < 1e-4


def test_names_and_shapes(model):
    assert exported.shapes(model.input) == {"x": (None, None), "y": (None, None)}
    assert exported.shapes(model.output) == {"turned_x": (None, None), "turned_y": (None, None)}
    given = model.predict({"x": np.zeros((2, 5)), "y": np.zeros((2, 5))}, verbose=0)
    assert {name: array.shape for name, array in given.items()} == {"turned_x": (2, 5), "turned_y": (2, 5)}


def test_the_inner_model_is_one_layer_that_is_called_twice(model):
    assert [layer.name for layer in model.layers].count("turn") == 1
    assert model.count_params() == 4


def test_the_inner_model_learns_half_the_turn(model):
    (matrix,) = model.get_layer("turn").get_weights()
    half = nested.ANGLE / 2
    expected = [[np.cos(half), np.sin(half)], [-np.sin(half), np.cos(half)]]
    np.testing.assert_allclose(matrix, expected, atol=0.01)


def test_the_export_answers_as_the_model_does(model, data, tmp_path):
    golden = exported.write("nested", nested, model, data, tmp_path / "1")["serving_default"]
    x, y = (np.array(golden["inputs"][name], np.float32) for name in ("x", "y"))
    assert len(x) >= 8
    answers = exported.engine_answers(tmp_path / "1")["serving_default"]
    for name, truth in nested.turned(x, y).items():
        np.testing.assert_allclose(answers[name], golden["outputs"][name], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(answers[name], truth, atol=0.05)


def test_the_score_is_a_distance(model, data):
    (score,) = nested.evaluate(model, data)
    assert score.value < 0.02
    assert score.baselines["left in place"] > 1
    assert score.ceiling == 0


def test_files_are_refused(tmp_path):
    with pytest.raises(BadOption, match="nested takes no --data"):
        nested.load(tmp_path, "quick", 0)
