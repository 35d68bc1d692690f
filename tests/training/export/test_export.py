"""What an export carries, and what is left of one that is killed."""

import json
import os
import re
import shutil
import signal
from dataclasses import asdict

import numpy as np
import pytest

from signet.serving.models import tfrecords
from signet.serving.tensors.arrays import from_proto
from signet.serving.tensors.protos import prediction_log_pb2, saved_model_pb2
from signet.training.export import card, example_requests, export, pictures, publish, verify
from signet.training.export.errors import ExportFailed
from signet.training.export.names import generic
from signet.training.models.registry import models
from tests import servers
from tests.training import exported, late

digits = late.model("digits")


@pytest.fixture(scope="module")
def data():
    return digits.load(None, "quick", 0)


@pytest.fixture
def trained(data, tmp_path):
    """What a training of digits leaves for its export."""
    folder = tmp_path / "trained"
    folder.mkdir()
    pixels = data.test.inputs["pixels"][:8].tolist()
    description = {"name": "digits", "config": asdict(data.config), "golden": {"serving_default": {"pixels": pixels}}}
    (folder / "model.json").write_text(json.dumps(description))
    (folder / "metrics.json").write_text("{}")
    with pytest.warns(DeprecationWarning, match="__array__"):  # Keras saving weights
        digits.build_model(data.config).save_weights(folder / "weights.weights.h5")
    return folder


def test_a_killed_export_leaves_nothing_that_a_server_would_load(trained, tmp_path):
    models = tmp_path / "models"
    process = export.start(trained, models)
    servers.wait_until(lambda: any(models.rglob("saved_model.pb")), 120, "a half-written version")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [path.name for path in (models / "digits").iterdir() if path.name.isdecimal()] == []
    assert publish.versions(models / "digits") == []
    with publish.writing_folder(models / "digits"):  # the next export clears up
        assert len(list((models / "digits").iterdir())) == 1
    assert not (models / "digits").exists()


def test_an_interrupted_export_leaves_nothing_at_all(trained, tmp_path):
    models = tmp_path / "models"
    process = export.start(trained, models)
    servers.wait_until(lambda: any(models.rglob(".writing-*")), 120, "a folder to write into")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (models / "digits").exists()


def test_a_training_does_not_break_the_callers_of_a_published_version(trained, tmp_path):
    published = tmp_path / "models" / "digits" / "7"
    shutil.copytree(servers.GOLDEN_MODELS / "mlp" / "1", published)
    with pytest.raises(ExportFailed, match=r"callers of version 7 would break: .*--allow-breaking"):
        export.result(export.start(trained, tmp_path / "models"))
    assert [path.name for path in published.parent.iterdir()] == ["7"]


@pytest.fixture(scope="module")
def version(data, tmp_path_factory):
    """The folder of an export of digits."""
    folder = tmp_path_factory.mktemp("export") / "1"
    exported.write("digits", digits, digits.build_model(data.config), data, folder)
    return folder


def test_warm_up_requests_come_in_several_sizes_for_every_signature(version):
    with (version / "assets.extra" / "tf_serving_warmup_requests").open("rb") as file:
        records = list(tfrecords.read(file))
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    sizes = [
        (request.model_spec.signature_name, request.inputs["pixels"].tensor_shape.dim[0].size) for request in requests
    ]
    assert sizes == [("serving_default", 1), ("serving_default", 8), ("serving_default", 32)]
    assert {request.model_spec.name for request in requests} == {"digits"}


def test_example_requests_are_rows_of_the_reference_few_and_evenly_taken(tmp_path):
    rows = {"x": np.arange(1000, dtype=np.float32)[:, None], "t": np.array([b"a"] * 1000, object)}
    wide = {"x": np.zeros((1000, 1 << 15), np.float32)}
    example_requests.write(tmp_path / "file", "m", {"serving_default": rows, "wide": wide, "other": {}})
    with (tmp_path / "file").open("rb") as file:
        found = [prediction_log_pb2.PredictionLog.FromString(record) for record in tfrecords.read(file)]
    sizes = [
        (
            one.predict_log.request.model_spec.signature_name,
            one.predict_log.request.inputs["x"].tensor_shape.dim[0].size,
        )
        for one in found
    ]
    assert sizes == [("serving_default", 64)] * 4 + [("wide", 8)]
    firsts = from_proto(found[0].predict_log.request.inputs["x"])[:3, 0].tolist()
    assert firsts == [0, 3, 7]
    example_requests.write(tmp_path / "none", "m", {})
    assert not (tmp_path / "none").exists()


def test_the_card_is_for_people(version):
    text = (version / "assets.extra" / "model-card.md").read_text()
    assert "| `pixels` | float32 | (any, 64) | a picture of 8 x 8 pixels, row by row from the top left |" in text
    assert "Classes of `digit`, in order: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9." in text
    assert "Rows alone and in a batch got the same answers" in text
    (body,) = re.findall(r"curl -s URL/v1/models/digits:predict -d '(.*)'", text)
    assert len(json.loads(body)["instances"][0]["pixels"]) == 64
    assert "│ digit (Dense)" in text
    assert "There is no history.png" not in text  # nothing was reported, so nothing is missing


def test_the_digest_tells_exports_apart(version, tmp_path):
    digest = json.loads((version / "assets.extra" / "model-card.json").read_text())["digest"]
    names = ["saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"]
    assert digest["files"] == names
    assert re.fullmatch("[0-9a-f]{64}", digest["sha256"])
    assert card.digest(version) == digest
    (tmp_path / "saved_model.pb").write_bytes((version / "saved_model.pb").read_bytes())
    assert card.digest(tmp_path)["sha256"] != digest["sha256"]


def test_without_graphviz_there_is_a_sentence_instead_of_a_picture(data, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    note = pictures.network(digits.build_model(data.config), tmp_path / "model.png")
    assert note == ("there is no model.png: graphviz's program `dot` was not found (Debian: apt-get install graphviz)")
    assert list(tmp_path.iterdir()) == []


def test_the_learning_curve_is_a_picture_of_each_measure(tmp_path):
    epochs = [{"loss": 1.0 / epoch, "val_loss": 1.5 / epoch, "age_mae": 3.0, "accuracy": 0.5} for epoch in range(1, 5)]
    assert pictures.learning_curve(epochs, tmp_path / "history.png") is None
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert pictures.learning_curve([], tmp_path / "none.png") == "there is no history.png: no epochs are reported"
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    "name", ["input_1", "inputs", "inputs_1", "output_0", "keras_tensor_3", "input_layer", "args_0"]
)
def test_names_that_say_nothing_are_known(name):
    assert generic(name)


@pytest.mark.parametrize("name", ["x", "pixels", "input_text", "left_camera", "outputs_per_hour", "layer"])
def test_names_that_say_something_are_left(name):
    assert not generic(name)


def test_every_model_has_a_card():
    for name, module in models().items():
        assert module.CARD.purpose.endswith("."), name
        assert module.CARD.inputs, name
        assert module.CARD.outputs, name
        assert module.CARD.limits, name


def test_operations_that_are_nobodys_are_named(version, tmp_path):
    """As of a library that servers do not have: the name of an operation is changed in the file."""
    content = (version / "saved_model.pb").read_bytes()
    assert verify.unservable_operations(version) is None
    assert content.count(b"MatMul") > 0
    (tmp_path / "saved_model.pb").write_bytes(content.replace(b"\x12\x06MatMul", b"\x12\x06MyMull"))
    problem = verify.unservable_operations(tmp_path)
    assert problem == ("the graph needs operations that are not TensorFlow's own, which servers do not have: MyMull")


def test_operations_that_touch_more_than_the_model_are_marked(version, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(version, folder)
    assert verify.marked_operations(folder, ()) == {}
    message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for function in message.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = "ReadFile" if node.op == "MatMul" else node.op
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    marked = verify.marked_operations(folder, ())
    assert marked == {"ReadFile": "files"}
    assert verify.marked_operations(folder, ["ReadFile"]) == {}
    card.complete(folder, {}, marked)
    assert json.loads((folder / "assets.extra" / "model-card.json").read_text())["operations"]["marked"] == marked
    said = "reaches operations that touch more than the model: ReadFile (files); `signet serve` refuses it without"
    assert said in (folder / "assets.extra" / "model-card.md").read_text()
    assert any(said in line for line in card.brief(folder))
