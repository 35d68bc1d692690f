"""Cards: what a version's folder says, and that a card of any content costs at most itself."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from signet.serving.engine.loading import load
from signet.serving.gateway.openapi import examples
from signet.serving.models import example_rows, model_card, small_file, tfrecords
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.dtypes import from_enum
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.protos import prediction_log_pb2
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.servers import GOLDEN_MODELS

FIXED = Signature("s", {}, {"y": TensorSpec("y", from_enum(1), (None, 3), "y:0")})
GROWING = Signature("s", {}, {"y": TensorSpec("y", from_enum(1), (None, None), "y:0")})


def card(folder: Path, content: object) -> model_card.Card:
    file = folder / model_card.FILE
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return model_card.read(folder)


def test_what_a_card_says(tmp_path):
    padding = {"safe": True, "value": 0, "inputs": {"x": [1]}, "why": ""}
    outputs = {"y": {"labels": ["a", "b"]}, "z": {"labels": []}}
    said = {"batched": True, "golden_rows": 8, "padding": padding, "outputs": outputs}
    read = card(tmp_path, {"digest": {"sha256": "abc"}, "signatures": {"s": said}})
    assert (read.digest, read.folder, read.problem) == ("abc", tmp_path, "")
    assert read.labels("s") == {"y": ["a", "b"]}
    assert read.padding(FIXED) == PaddingRule(0, {"x": (1,)})
    assert read.padding(GROWING) is None, "nobody could tell where to cut"
    assert read.independent("s") is True
    assert read.independent("t") is None
    alone = card(tmp_path, {"signatures": {"s": {"batched": False, "golden_rows": 8}}})
    assert alone.independent("s") is False


@pytest.mark.parametrize(
    "said",
    [
        {"batched": True, "golden_rows": 1},
        {"batched": True, "golden_rows": "8"},
        {"batched": "yes", "golden_rows": 8},
        {"golden_rows": 8},
        [],
        7,
    ],
)
def test_a_card_proves_independence_only_with_rows_that_were_seen(tmp_path, said):
    assert card(tmp_path, {"signatures": {"s": said}}).independent("s") is None


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\xff\xfe{}",
        b"",
        b"7",
        b'{"a": ' + b"9" * 100_000 + b"}",
        b" " * (small_file.MOST_BYTES + 1),
    ],
    ids=["lists", "objects", "not UTF-8", "empty", "a number", "a huge number", "huge"],
)
def test_a_card_of_any_content_costs_at_most_itself(tmp_path, content):
    read = card(tmp_path, content)
    assert read.content == {}
    assert str(tmp_path / model_card.FILE) in read.problem


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.touch])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    (tmp_path / "assets.extra").mkdir()
    for name in (model_card.FILE, example_rows.GOLDEN, example_rows.WARMUP, example_rows.EXAMPLES):
        make(tmp_path / name)
    read = model_card.read(tmp_path)
    assert (read.content, bool(read.problem)) == ({}, True)
    assert examples.first_rows(tmp_path) == {}
    assert list(example_rows.to_compare(tmp_path, FIXED)) == []


@pytest.mark.parametrize(
    "content", [{"signatures": 7}, {"signatures": {"s": {"outputs": 7, "padding": [1]}}}, {"digest": {"sha256": 7}}]
)
def test_what_has_another_form_is_as_if_it_were_not_there(tmp_path, content):
    read = card(tmp_path, content)
    assert (read.digest, read.labels("s"), read.padding(FIXED), read.problem) == ("", {}, None, "")


def test_a_version_without_a_card_has_none(tmp_path):
    read = model_card.read(tmp_path)
    assert (read.content, read.problem, read.folder) == ({}, "", tmp_path)
    assert model_card.read(None) is model_card.NONE


def test_rows_at_hand_are_those_to_warm_up_and_to_check_with(tmp_path):
    version = GOLDEN_MODELS / "three_out" / "1"
    servable = load("three_out", 1, version)
    signature = servable.signatures["serving_default"]
    extra = tmp_path / "assets.extra"
    extra.mkdir()
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]
    golden = {"signatures": {"serving_default": {"inputs": {"x": rows}}, "other": {"inputs": {"x": rows}}}}
    (extra / "golden.json").write_text(json.dumps(golden))
    with (tmp_path / example_rows.WARMUP).open("wb") as file:
        for name in ("other", "", "serving_default"):
            message = prediction_log_pb2.PredictionLog()
            request = message.predict_log.request
            request.model_spec.signature_name = name
            request.inputs["x"].CopyFrom(to_proto(np.ones((1, 4), np.float32)))
            tfrecords.write(file, message.SerializeToString())
    found = [arrays["x"].tolist() for arrays in example_rows.of(tmp_path, signature)]
    assert found == [rows, [[1, 1, 1, 1]], [[1, 1, 1, 1]]]
    (tmp_path / example_rows.WARMUP).rename(tmp_path / example_rows.EXAMPLES)
    assert [len(arrays["x"]) for arrays in example_rows.of(tmp_path, signature)] == [2]
    assert [len(arrays["x"]) for arrays in example_rows.to_compare(tmp_path, signature)] == [2, 1, 1]
    servable.close()
