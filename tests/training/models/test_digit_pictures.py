"""`inception` and `residual`: one test, two models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signet.training import options, train
from signet.training.data import digits
from signet.training.model import BadOption, Recipe
from signet.training.options import TrainOptions
from tests.training import exported, late
from tests.training.late import keras

digit_pictures = late.model("digit_pictures")

MODELS = {name: late.model(name) for name in ("inception", "residual")}
CHOICES = [(name, architecture) for name in MODELS for architecture in ("default", "notebook")]


def small(name, architecture, source=None):
    """Data with few rows, and the model."""
    data = MODELS[name].load(source, "quick", 0, architecture)
    data = replace(data, epoch=lambda _: digits.images()[0][:128], test=data.test[:12])
    keras.utils.set_random_seed(0)
    return data, MODELS[name].build_model(data.config)


@pytest.mark.parametrize(("name", "architecture"), CHOICES)
def test_one_epoch_lowers_the_loss(name, architecture):
    data, model = small(name, architecture)
    MODELS[name].compile_model(model, Recipe(epochs=1, batch_rows=16, learning_rate=1e-3), steps=100)
    model.run_eagerly = True  # tracing would take longer than these few batches
    rows = data.epoch(0)
    before = model.evaluate(rows.inputs, rows.targets, verbose=0, return_dict=True)["loss"]
    model.fit(rows.inputs, rows.targets, batch_size=16, verbose=0)
    assert model.evaluate(rows.inputs, rows.targets, verbose=0, return_dict=True)["loss"] < before


@pytest.mark.parametrize(("name", "architecture"), CHOICES)
@pytest.mark.parametrize(("source", "side"), [(None, 8), (Path("scenes"), 24)])
def test_names_and_shapes(name, architecture, source, side):
    data, model = small(name, architecture, source)
    assert exported.shapes(model.input) == {"image": (None, side, side, 1)}
    assert exported.shapes(model.output) == {"digit": (None, 10)}
    assert data.test.inputs["image"].shape[1:] == (side, side, 1)
    chances = model.predict(data.test.inputs, verbose=0)["digit"]
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("inception", {1: [128, 128, 128], 3: [128, 128, 128, 128]}),
        ("residual", {1: [128], 3: [128] * 6}),  # the first makes the channels that the notebook takes as given
    ],
)
def test_the_notebooks_sizes(name, filters):
    model = small(name, "notebook")[1]
    found = {1: [], 3: []}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            found[layer.kernel_size[0]].append(layer.filters)
    assert found == filters


@pytest.mark.parametrize("name", MODELS)
def test_the_export_answers_as_the_model_does(name, tmp_path):
    data, model = small(name, "default", Path("scenes"))
    whole = exported.write(name, MODELS[name], model, data, tmp_path / "1")
    golden = whole["serving_default"]
    assert len(golden["inputs"]["image"]) == 10
    expected = model.predict({"image": np.array(golden["inputs"]["image"], np.float32)}, verbose=0)["digit"]
    np.testing.assert_allclose(golden["outputs"]["digit"], expected, rtol=1e-4, atol=1e-6)
    answers = exported.engine_answers(tmp_path / "1")
    np.testing.assert_allclose(answers["serving_default"]["digit"], expected, rtol=1e-4, atol=1e-6)
    assert whole["from_bytes"].keys() == golden.keys()
    np.testing.assert_allclose(
        answers["from_bytes"]["digit"], whole["from_bytes"]["outputs"]["digit"], rtol=1e-4, atol=1e-6
    )
    # A PNG file of the size that the model takes is the picture, but for being rounded to 256 shades.
    np.testing.assert_allclose(answers["from_bytes"]["digit"][0], expected[0], atol=0.01)


def test_each_choice_has_a_recipe_for_each_preset():
    for module in MODELS.values():
        assert set(module.RECIPES) == {
            (data, architecture) for data in ("digits", "scenes") for architecture in options.ARCHITECTURES
        }
        assert all(set(presets) == set(options.PRESETS) for presets in module.RECIPES.values())


def test_epochs_differ_and_come_again():
    epochs = MODELS["inception"].load(None, "quick", 3).epoch
    images = [epochs(number).inputs["image"] for number in (0, 1, 0)]
    assert not np.array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])


def test_the_baseline_is_measured_on_the_same_rows():
    data, model = small("residual", "default")
    data = replace(data, test=digits.images()[1])
    (score,) = digit_pictures.evaluate(model, data)
    assert 0 <= score.value < 0.5  # nothing is learnt yet
    assert score.baselines == {"support vector machine": pytest.approx(0.99, abs=0.01)}


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("digits", "scenes", "--data: there is no file or folder scenes"),
        ("residual", "scene", "--data: there is no file or folder scene; or say scenes"),
    ],
)
def test_unknown_data_is_refused_before_anything_starts(name, source, problem):
    with pytest.raises(BadOption) as caught:
        train.check([name], TrainOptions(data=Path(source)))
    assert str(caught.value) == problem


def test_scenes_are_data_and_files_are_not(tmp_path):
    assert train.check(["inception"], TrainOptions(data=Path("scenes"))) == ["inception"]
    with pytest.raises(BadOption, match="this model learns from scikit-learn's digits, or from --data scenes"):
        MODELS["inception"].load(tmp_path, "quick", 0)
