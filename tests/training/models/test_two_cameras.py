import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signet.training.data import stereo
from signet.training.export import golden as golden_examples
from signet.training.model import BadOption, Data, Recipe
from tests.training import exported, late
from tests.training.late import keras, tf

two_cameras = late.model("two_cameras")
EYES = ("left_camera", "right_camera")

SIDE = 32


@pytest.fixture(scope="module")
def data():
    train, test = (stereo.generate(rows, SIDE, np.random.default_rng(rows)) for rows in (128, 64))
    return Data("pairs", two_cameras.Config(SIDE), lambda _: train, test)


@pytest.fixture(scope="module")
def model(data):
    """Trained for one epoch; with the losses before and after."""
    keras.utils.set_random_seed(0)
    model = two_cameras.build_model(data.config)
    two_cameras.compile_model(model, Recipe(epochs=1, batch_rows=32, learning_rate=1e-3), steps=100)
    model.run_eagerly = True  # tracing would take longer than these few batches
    rows = data.epoch(0)
    model.before = model.train_on_batch(rows.inputs, rows.targets)  # as in training, by the batch's own mean
    model.fit(rows.inputs, rows.targets, batch_size=16, verbose=0)
    model.after = model.train_on_batch(rows.inputs, rows.targets)
    model.run_eagerly = False
    return model


@pytest.fixture(scope="module")
def golden(model, data, tmp_path_factory):
    """The folder of the export, and its golden examples."""
    folder = tmp_path_factory.mktemp("two_cameras") / "1"
    return folder, exported.write("two_cameras", two_cameras, model, data, folder)


def test_one_epoch_lowers_the_loss(model):
    assert model.after < model.before


def test_names_and_shapes(model):
    assert exported.shapes(model.input) == dict.fromkeys(EYES, (None, SIDE, SIDE, 3))
    assert exported.shapes(model.output) == {"depth": (None, 1)}


def test_both_eyes_are_the_same_layer(model):
    bases = [layer for layer in model.layers if layer.name == "eye"]
    assert len(bases) == 1
    features = keras.Model(model.inputs, [node.output_tensors[0] for node in bases[0]._inbound_nodes[-2:]])
    picture = stereo.generate(4, SIDE, np.random.default_rng(5)).inputs["left_camera"]
    left, right = features.predict(dict.fromkeys(EYES, picture), verbose=0)
    np.testing.assert_array_equal(left, right)


def test_the_answer_is_the_depth_of_the_disparity(data):
    """With a disparity that depends on nothing, 6.3 + 0.1 of 64 pixels, the depth is 1 m for any picture."""
    model = two_cameras.build_model(data.config)
    kernel, bias = model.get_layer("disparity").weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign(np.log(np.expm1([6.3])))
    answer = model.predict(data.test[:3].inputs, verbose=0)["depth"]
    np.testing.assert_allclose(answer, np.ones((3, 1)), rtol=1e-5)


def test_the_export_answers_as_the_model_does(golden, model, data):
    folder, signatures = golden
    assert set(signatures) == {"serving_default", "from_bytes"}
    pairs = {eye: np.array(signatures["serving_default"]["inputs"][eye], np.float32) for eye in EYES}
    expected = model.predict(pairs, verbose=0)["depth"]
    answers = exported.engine_answers(folder)
    np.testing.assert_allclose(answers["serving_default"]["depth"], expected, rtol=1e-4)
    files = signatures["from_bytes"]["outputs"]["depth"]
    assert np.shape(answers["from_bytes"]["depth"]) == (9,)
    np.testing.assert_allclose(answers["from_bytes"]["depth"], files, rtol=1e-4)


def test_golden_files_are_jpeg_and_png_of_the_same_pictures(golden):
    signatures = golden[1]
    for eye in EYES:
        files = [base64.b64decode(value["b64"]) for value in signatures["from_bytes"]["inputs"][eye]]
        assert {content[:4] for content in files} == {b"\xff\xd8\xff\xe0", b"\x89PNG"}
        shapes = {tuple(tf.io.decode_image(content).shape) for content in files}
        assert shapes == {(SIDE, SIDE, 3), (SIDE, SIDE // 2, 3), (SIDE, SIDE, 1)}
        png = tf.io.decode_image(files[1]).numpy()
        np.testing.assert_array_equal(png, signatures["serving_default"]["inputs"][eye][1])


def test_pictures_of_other_sizes_are_scaled(golden):
    function = tf.saved_model.load(str(golden[0])).signatures["serving_default"]
    few = stereo.generate(2, SIDE, np.random.default_rng(7)).inputs
    larger = {eye: np.repeat(np.repeat(few[eye], 2, axis=1), 3, axis=2) for eye in EYES}
    answers = [
        function(**{eye: tf.constant(pictures[eye], tf.float32) for eye in EYES})["depth"] for pictures in (few, larger)
    ]
    assert answers[0].shape == (2, 1)
    np.testing.assert_allclose(answers[0], answers[1], rtol=0.05)


def test_a_broken_file_is_refused(golden):
    function = tf.saved_model.load(str(golden[0])).signatures["from_bytes"]
    broken = tf.constant([b"no picture"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        function(left_camera=broken, right_camera=broken)


def test_the_report_has_both_units_beside_the_baselines(model, data):
    metres, pixels = two_cameras.evaluate(model, data)
    assert (metres.metric, pixels.metric) == ("mean error in metres", "mean disparity error in pixels of 64")
    for score in (metres, pixels):
        assert set(score.baselines) == {"ridge on column means", "block matching", "the median"}
    assert pixels.baselines["the median"] == pytest.approx(4.5, abs=0.8)
    assert pixels.baselines["block matching"] < 0.5


def test_the_epochs_are_fresh_and_come_again(monkeypatch):
    quick = replace(two_cameras.PRESETS["quick"], train_rows=5)
    monkeypatch.setattr(two_cameras, "PRESETS", {"quick": quick})
    monkeypatch.setattr(two_cameras, "TEST_ROWS", 5)
    epoch = two_cameras.load(None, "quick", 0).epoch
    pictures = [epoch(number).inputs["left_camera"] for number in (0, 1, 0)]
    assert not np.array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_files_are_refused(tmp_path):
    with pytest.raises(BadOption, match="two_cameras takes no --data"):
        two_cameras.load(Path(tmp_path), "quick", 0)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_xception_at_250_builds_trains_and_serves(tmp_path, monkeypatch):
    monkeypatch.setattr(golden_examples, "MOST_BYTES", 1 << 30)  # pictures whole, as they are sent to the engine below
    data = two_cameras.load(None, "quick", 0, "notebook")
    model = two_cameras.build_model(data.config)
    assert model.get_layer("xception").count_params() == 20_861_480
    assert exported.shapes(model.input) == dict.fromkeys(EYES, (None, 250, 250, 3))
    two_cameras.compile_model(model, data.recipe, steps=1)
    rows = data.epoch(0)[:4]
    loss = model.fit(rows.inputs, rows.targets, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    golden = exported.write("two_cameras", two_cameras, model, data, tmp_path / "1")
    weights = tmp_path / "1" / "variables" / "variables.data-00000-of-00001"
    assert weights.stat().st_size == pytest.approx(4 * model.count_params(), rel=0.01)  # once, not twice
    answers = exported.engine_answers(tmp_path / "1")
    for signature, example in golden.items():
        np.testing.assert_allclose(answers[signature]["depth"], example["outputs"]["depth"], rtol=1e-3)
