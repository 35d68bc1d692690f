"""A flat column fits an input of shape (n, 1), and a number one of shape (1,), whichever way it comes: one rule."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from signet.clients.client import dataframes, values
from signet.clients.score.formats import Format
from signet.clients.score.input.arrow_rows import ArrowRows
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.json_rows import JsonRows
from signet.clients.score.input.lines import TextLine
from signet.clients.score.input.sources import Source
from signet.clients.score.plan import Plan, mapping
from signet.serving.errors import InvalidInput
from signet.serving.grpc_dialect import predict_request
from signet.serving.model_server.rest import predict_json
from signet.serving.open_inference import bodies, messages, open_inference_pb2, requests
from signet.serving.rest_dialect import json_codec
from signet.serving.tensors.arrays import Arrays, to_proto
from signet.serving.tensors.protos import predict_pb2
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.serving.rest_dialect.test_json_codec import signature

PEOPLE = signature(age=("float", (None, 1)), name=("string", (None, 1)))
AGES, NAMES = np.float32([31, 42]), np.array([b"Ann", b"Bob"], object)
FLAT: Arrays = {"age": AGES, "name": NAMES}


def rows(of: Signature) -> Arrays:
    return v1({"instances": [{"age": 31, "name": "Ann"}, {"age": 42, "name": {"b64": "Qm9i"}}]}, of)


def columns(of: Signature) -> Arrays:
    return v1({"inputs": {"age": [31, 42], "name": ["Ann", "Bob"]}}, of)


def v1(body: object, of: Signature) -> Arrays:
    return json_codec.decode(json_codec.parse(json.dumps(body).encode()), of)


def v2_json(of: Signature) -> Arrays:
    inputs = [
        {"name": "age", "datatype": "FP32", "shape": [2], "data": [31, 42]},
        {"name": "name", "datatype": "BYTES", "shape": [2], "data": ["Ann", "Bob"]},
    ]
    return requests.decode(bodies.parse(json.dumps({"inputs": inputs}).encode()), of)


def v2_typed(of: Signature) -> Arrays:
    message = open_inference_pb2.ModelInferRequest()
    message.inputs.add(name="age", datatype="FP32", shape=[2]).contents.fp32_contents.extend([31, 42])
    message.inputs.add(name="name", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"Ann", b"Bob"])
    return requests.decode(messages.parse(message), of)


def v2_raw(of: Signature) -> Arrays:
    message = open_inference_pb2.ModelInferRequest()
    message.inputs.add(name="age", datatype="FP32", shape=[2])
    message.inputs.add(name="name", datatype="BYTES", shape=[2])
    message.raw_input_contents.extend([AGES.tobytes(), b"\3\0\0\0Ann\3\0\0\0Bob"])
    return requests.decode(messages.parse(message), of)


def grpc_v1(of: Signature) -> Arrays:
    request = predict_pb2.PredictRequest()
    for name, array in FLAT.items():
        request.inputs[name].CopyFrom(to_proto(array))
    return of.check(predict_request.inputs_of(request, of))


def lists(of: Signature) -> Arrays:
    return values.to_arrays({"age": [31, 42], "name": ["Ann", b"Bob"]}, of)


def arrays(of: Signature) -> Arrays:
    return values.to_arrays({"age": np.array([31, 42]), "name": np.array(["Ann", "Bob"])}, of)


def pandas(of: Signature) -> Arrays:
    import pandas as pd

    return frame(pd.DataFrame({"age": [31, 42], "name": ["Ann", "Bob"]}), of)


def polars(of: Signature) -> Arrays:
    import polars as pl

    return frame(pl.DataFrame({"age": [31, 42], "name": ["Ann", "Bob"]}), of)


def pyarrow(of: Signature) -> Arrays:
    return frame(pa.table({"age": [31, 42], "name": ["Ann", "Bob"]}), of)


def frame(table: object, of: Signature) -> Arrays:
    return values.to_arrays(dataframes.inputs(table, of), of)


def scored_lines(of: Signature) -> Arrays:
    texts = [b'{"age": 31, "name": "Ann"}', b'{"age": 42, "name": "Bob"}']
    ((_, found),) = JsonRows([TextLine(i, text) for i, text in enumerate(texts)], plan(of)).groups()
    return found


def scored_columns(of: Signature) -> Arrays:
    table = pa.table({"age": [31, 42], "name": ["Ann", "Bob"]})
    source = Source("in.parquet", Format("parquet"), 100)
    ((_, found),) = ArrowRows(Chunk(source, Position(), Position(row=2), table, 100), plan(of)).groups()
    return found


def plan(of: Signature) -> Plan:
    return Plan(of, mapping([], of), carry=None, prefix="", flat=False, format=Format("jsonl"))


WAYS = [
    rows,
    columns,
    v2_json,
    v2_typed,
    v2_raw,
    grpc_v1,
    lists,
    arrays,
    pandas,
    polars,
    pyarrow,
    scored_lines,
    scored_columns,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_flat_column_fits_an_input_of_one_column(way):
    found = way(PEOPLE)
    np.testing.assert_array_equal(found["age"], AGES.reshape(2, 1), strict=True)
    np.testing.assert_array_equal(found["name"], NAMES.reshape(2, 1), strict=True)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_open_axis_is_never_guessed(way):
    words = signature(age=("float", (None, None)), name=("string", (None, None)))
    with pytest.raises((InvalidInput, ValueError)):  # scoring finds no row that fits
        way(words)


@pytest.mark.parametrize(
    ("spec", "shape", "fitted"),
    [
        ((None, 1), (7,), (7, 1)),
        ((None, 1), (7, 1), (7, 1)),
        ((None, 1), (0,), (0, 1)),
        ((1,), (), (1,)),
        ((None, None, 1), (7, 3), (7, 3, 1)),
        ((None, 28, 28, 1), (7, 28, 28), (7, 28, 28, 1)),
        ((None, 1, 1), (7, 1), (7, 1, 1)),
    ],
)
def test_a_last_axis_of_one_may_be_left_out(spec, shape, fitted):
    assert TensorSpec("x", None, spec, "x:0").check_shape(shape) == fitted


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ((None, 1), ()),
        ((None, 1), (7, 2)),
        ((None, 1, 1), (7,)),
        ((None, None), (7,)),
        ((None, 2), (7,)),
        ((None, 28, 28, 1), (7, 28, 27)),
        ((1, None), (7,)),
        ((None,), ()),
    ],
)
def test_nothing_else_is_added(spec, shape):
    with pytest.raises(InvalidInput, match=re.escape(f"has shape {shape}; the model takes {spec}")):
        TensorSpec("x", None, spec, "x:0").check_shape(shape)


def test_the_model_server_is_as_strict_as_the_original():
    found, _ = predict_json.decode({"inputs": {"age": [31, 42], "name": ["Ann", "Bob"]}}, PEOPLE, False)
    assert {name: array.shape for name, array in found.items()} == {"age": (2,), "name": (2,)}
