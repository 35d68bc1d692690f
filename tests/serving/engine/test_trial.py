"""A version has to answer something before it goes live; minding the values is an answer."""

import json
import os
import shutil
from pathlib import Path

import pytest

from signet.serving.engine.loading import Loader
from signet.serving.engine.trial import lacks_something
from signet.serving.engine.warmup import FILE
from signet.serving.errors import InvalidInput, ServingError, from_code
from signet.serving.models.model_status import INCOMPLETE, UNANSWERED
from signet.training import keras_start


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    keras_start.start()
    from tests.serving.engine import trial_models

    folder = tmp_path_factory.mktemp("numbers")
    trial_models.save(folder)
    return folder


def load(path: Path) -> None:
    servable = Loader(trial=True, allowed_operations=frozenset())("m", 1, path)
    try:
        signature = servable.signatures["a_train"]
        import numpy as np

        answer = servable.predict(signature, {"x": np.zeros((1, 3), np.float32)})
        assert answer["y"] == 0, "another signature than the default was run, and has learnt"
    finally:
        servable.close()


@pytest.mark.parametrize("name", ["scale", "picture", "word"])
def test_an_answer_and_a_complaint_about_values_are_good(saved, name):
    load(saved / name)


def test_variables_that_are_not_there_are_told_before_anything_is_loaded(saved, tmp_path):
    shutil.copytree(saved / "scale", tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "variables")
    with pytest.raises(ServingError, match="is not there, and the graph restores variables") as caught:
        load(tmp_path / "1")
    assert caught.value.reason == INCOMPLETE


def test_a_variable_that_no_checkpoint_restores_is_missed(saved, tmp_path):
    shutil.copytree(saved / "scale", tmp_path / "1")
    from signet.serving.tensors.protos import saved_model_pb2

    file = tmp_path / "1" / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    message.meta_graphs[0].ClearField("saver_def")
    file.write_bytes(message.SerializeToString())
    shutil.rmtree(tmp_path / "1" / "variables")
    with pytest.raises(ServingError) as caught:
        load(tmp_path / "1")
    assert caught.value.reason == UNANSWERED


def test_golden_examples_are_tried_where_there_are_some(saved, tmp_path):
    shutil.copytree(saved / "picture", tmp_path / "1")
    golden = tmp_path / "1" / "assets.extra" / "golden.json"
    golden.parent.mkdir()
    for content in ("no JSON", "[]", json.dumps({"signatures": {"serving_default": {"inputs": {"picture": ["x"]}}}})):
        golden.write_text(content)
        load(tmp_path / "1")
    golden.unlink()
    os.mkfifo(golden)
    os.mkfifo(tmp_path / "1" / FILE)
    load(tmp_path / "1")


@pytest.mark.parametrize(
    ("code", "message", "lacking"),
    [
        ("FAILED_PRECONDITION", "Could not find variable weight", True),
        ("FAILED_PRECONDITION", "Table not initialized.", True),
        ("NOT_FOUND", "words.txt; No such file or directory", True),
        ("NOT_FOUND", "made-up; No such file or directory", False),
        ("UNIMPLEMENTED", "The Conv2D op currently only supports the NHWC tensor format on the CPU", True),
        ("INVALID_ARGUMENT", "No OpKernel was registered to support Op 'CudnnRNN'", True),
        ("INVALID_ARGUMENT", "indices[0,0] = 5000 is not in [0, 100)", False),
        ("OUT_OF_RANGE", "End of sequence", False),
    ],
)
def test_what_a_model_lacks_is_told_from_what_it_minds(code, message, lacking):
    assert lacks_something(from_code(code, message)) is lacking
    assert not lacks_something(InvalidInput("a value"))
