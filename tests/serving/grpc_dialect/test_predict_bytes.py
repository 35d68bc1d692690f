"""Predict's messages as bytes: protobuf's library is the judge of what is written, and of what is read."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput, ServingError
from signet.serving.grpc_dialect import predict_bytes
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Arrays, from_proto, to_proto, to_typed_proto
from signet.serving.tensors.protos import predict_pb2, tensor_pb2
from signet.serving.tensors.wire_format import Unusual, delimited, tag, varint

SHAPES = st.one_of(
    st.lists(st.integers(0, 4), max_size=3).map(tuple), st.sampled_from([(300,), (0,), (200, 0), (1,) * 6])
)
NAMES = st.text(max_size=5)


@st.composite
def arrays(draw):
    """An array of any type, its numbers of any bits."""
    dtype, shape = draw(st.sampled_from(dtypes.ROWS)), draw(SHAPES)
    count = int(np.prod(shape, dtype=int))
    if dtype.is_string:
        values = np.empty(count, object)
        values[:] = (
            [draw(st.binary(max_size=200)) for _ in range(count)] if count < 10 else [b"a" * i for i in range(count)]
        )
        return values.reshape(shape)
    if dtype.name == "bool":
        return np.arange(count).reshape(shape) % 3 == 1
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    size = count * dtype.numpy.itemsize
    zeroed = rng.integers(0, 2, size, dtype=np.uint8) if draw(st.booleans()) else np.ones(size, np.uint8)
    return (rng.integers(0, 256, size, dtype=np.uint8) * zeroed).view(dtype.numpy).reshape(shape)


def same(left: Arrays, right: Arrays) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and left[name].shape == right[name].shape
        and (left[name].tolist() if left[name].dtype == object else left[name].tobytes())
        == (right[name].tolist() if right[name].dtype == object else right[name].tobytes())
        for name in left
    )


def of_library(data: bytes) -> Arrays | str:
    """What the library's message means, or the class of the error."""
    try:
        message = predict_pb2.PredictResponse.FromString(data)
        return {name: from_proto(proto) for name, proto in message.outputs.items()}
    except (DecodeError, ServingError) as error:
        return type(error).__name__


def of_bytes(data: bytes) -> Arrays | str | None:
    """What the bytes mean; None where they are left to the library."""
    try:
        return {name: tensor.array() for name, tensor in predict_bytes.outputs(data).items()}
    except Unusual:
        return None
    except ServingError as error:
        return type(error).__name__


def agree(data: bytes) -> bool:
    """Whether the bytes mean the same to both, or are left to the library; raises nothing."""
    ours, theirs = of_bytes(data), of_library(data)
    return ours is None or (
        same(ours, theirs) if isinstance(ours, dict) and isinstance(theirs, dict) else ours == theirs
    )


@given(st.dictionaries(NAMES, arrays(), max_size=3), NAMES, st.integers(0, (1 << 63) - 1), st.lists(NAMES, max_size=2))
def test_a_request_is_the_message_that_the_library_writes(inputs, name, version, outputs):
    expected = predict_pb2.PredictRequest(output_filter=outputs)
    expected.model_spec.name, expected.model_spec.signature_name = name, "s"
    expected.model_spec.version.value = version
    for each, array in inputs.items():
        expected.inputs[each].CopyFrom(to_proto(array))
    written = predict_bytes.request(name, version, "s", inputs, outputs)
    assert predict_pb2.PredictRequest.FromString(written) == expected
    assert len(written) == len(expected.SerializeToString())


def test_arrays_in_any_order_of_memory_and_texts_are_written():
    inputs = {
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        "stepped": np.arange(12, dtype=np.float32)[::3],
        "backwards": np.arange(3, dtype=np.uint8)[::-1],
        "texts": np.array(["ß", "longer"]),
        "bytes": np.array([b"a", b"bc"]),
        "objects": np.array(["a", b"b"], object),
    }
    message = predict_pb2.PredictRequest.FromString(predict_bytes.request("m", 1, "s", inputs))
    assert {name: from_proto(proto).tolist() for name, proto in message.inputs.items()} == {
        **{name: inputs[name].tolist() for name in ("fortran", "stepped", "backwards", "bytes")},
        "texts": ["ß".encode(), b"longer"],
        "objects": [b"a", b"b"],
    }
    with pytest.raises(InvalidInput, match="a string tensor holds int; expected str or bytes"):
        predict_bytes.request("m", 1, "s", {"x": np.array([1], object)})


@given(st.dictionaries(NAMES, arrays(), max_size=3), st.sampled_from([to_proto, to_typed_proto]), st.booleans())
def test_an_answer_in_the_usual_form_is_read_without_the_library(outputs, write, spec_first):
    spec, tensors = predict_pb2.PredictResponse(), predict_pb2.PredictResponse()
    spec.model_spec.name, spec.model_spec.signature_name = "digits", "serving_default"
    spec.model_spec.version.value = 1
    for name, array in outputs.items():
        tensors.outputs[name].CopyFrom(write(array))
    both = [message.SerializeToString() for message in (spec, tensors)]
    data = b"".join(both if spec_first else reversed(both))
    read = of_bytes(data)
    assert isinstance(read, dict)
    assert same(read, of_library(data))
    assert all(array.flags.aligned for array in read.values())


FIELDS = {row.field: row.enum for row in dtypes.ROWS}
NUMBERS = {descriptor.name: descriptor.number for descriptor in tensor_pb2.TensorProto.DESCRIPTOR.fields}
RARELY = st.integers(0, 11).map(lambda number: number == 7)
SIZES = st.one_of(
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 300),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([1 << 31, (1 << 31) + 1]),
)


@st.composite
def dims(draw):
    """A shape's message: sizes of any kind, with names, in any order, with fields that nobody knows."""
    pieces = []
    for size in draw(st.lists(SIZES, max_size=3)):
        dim = tag(1, 0) + varint(size % (1 << 64)) if size or draw(st.booleans()) else b""
        if draw(RARELY):
            dim += delimited(2, draw(st.sampled_from([b"name", b"\xff", b""])))
        pieces.append(delimited(2, dim))
    if draw(RARELY):
        pieces.append(tag(3, 0) + varint(draw(st.integers(0, 1))))
    return b"".join(pieces)


@st.composite
def tensors(draw):
    """A TensorProto written by hand: its fields in any order, packed and not, repeated, of another type, unknown, broken."""
    row = draw(st.sampled_from(dtypes.ROWS))
    pieces = [tag(1, 0) + varint(row.enum), delimited(2, draw(dims()))]
    field = draw(st.sampled_from([row.field] * 60 + list(FIELDS)))
    number = NUMBERS[field]
    values = draw(st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 300), max_size=4))
    form = draw(st.sampled_from([*["packed"] * 5, "one by one", "content", "raw"]))
    if field == "string_val":
        pieces += [delimited(number, b"x" * (value % 200)) for value in values]
    elif form == "content":
        pieces.append(delimited(4, draw(st.binary(max_size=17))))
    elif form == "raw":
        pieces.append(delimited(number, draw(st.binary(max_size=25))))
    elif "float" in field or "double" in field or "complex" in field:
        width = 8 if field in ("double_val", "dcomplex_val") else 4
        texts = [value.to_bytes(8, "little")[:width] for value in values]
        pieces += (
            [delimited(number, b"".join(texts))]
            if form == "packed"
            else [tag(number, 1 if width == 8 else 5) + t for t in texts]
        )
    else:
        texts = [varint(value) for value in values]
        pieces += (
            [delimited(number, b"".join(texts))] if form == "packed" else [tag(number, 0) + text for text in texts]
        )
    if draw(RARELY):
        pieces.append(
            draw(
                st.sampled_from(
                    [
                        tag(3, 0) + varint(1),
                        delimited(99, b"who knows"),
                        tag(99, 5) + b"1234",
                        tag(7, 3) + tag(7, 4),
                        tag(1, 0) + varint(1),
                        delimited(2, b""),
                        delimited(18, b"f8"),
                        b"\x00",
                        b"\xff",
                        b"\x8a",
                    ]
                )
            )
        )
    return b"".join(draw(st.permutations(pieces)))


@st.composite
def answers(draw):
    pieces = []
    for _ in range(draw(st.integers(0, 2))):
        key, value = (
            delimited(1, draw(st.sampled_from([b"y", b"z", b"w", b"v", b"", b"", b"u", b"\xff"]))),
            delimited(2, draw(tensors())),
        )
        pieces.append(
            delimited(1, draw(st.sampled_from([*[key + value] * 12, value + key, key, value, key + value + value])))
        )
    pieces += draw(
        st.lists(
            st.sampled_from([*[delimited(2, b"\n\x01m")] * 4, delimited(2, b"\xff"), delimited(9, b"x"), b"\x10\x01"]),
            max_size=1,
        )
    )
    data = b"".join(draw(st.permutations(pieces)))
    return data[: -draw(st.integers(1, 3))] if draw(RARELY) else data


@given(answers())
def test_what_is_read_without_the_library_means_the_same_to_it(data):
    assert agree(data)


@given(st.binary(max_size=60))
@example(b"\n")
@example(b"\x0a\x80")
@example(b"\x12\x05ab")
def test_any_bytes_mean_the_same_to_the_library_or_are_left_to_it(data):
    assert agree(data)


@given(st.dictionaries(NAMES, arrays(), min_size=1, max_size=2), st.data())
def test_damaged_answers_mean_the_same_to_the_library_or_are_left_to_it(outputs, data):
    message = predict_pb2.PredictResponse()
    message.model_spec.name = "m"
    for name, array in outputs.items():
        message.outputs[name].CopyFrom(to_typed_proto(array))
    damaged = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert agree(bytes(damaged))
