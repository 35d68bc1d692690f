"""Typed fields as bytes of the wire: the same messages and the same arrays as by protobuf's own lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import fill_typed, from_proto, is_packed, to_typed_proto
from signet.serving.tensors.protos import predict_pb2, tensor_pb2

PACKED = [dtype for dtype in dtypes.ROWS if is_packed(dtype)]


def random_array(dtype: dtypes.DType, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Any bits, NaNs with payloads among them; of booleans the two there are."""
    random = np.random.default_rng(seed)
    if dtype.name == "bool":
        return random.integers(0, 2, shape).astype(bool)
    count = int(np.prod(shape)) * dtype.numpy.itemsize
    return np.frombuffer(random.bytes(count), dtype.numpy).reshape(shape)


def by_lists(array: np.ndarray) -> tensor_pb2.TensorProto:
    """The message that protobuf makes of a list of numbers."""
    dtype = dtypes.from_numpy(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.enum)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = array.reshape(-1)
    getattr(proto, dtype.field).extend((flat.view(flat.real.dtype) if dtype.numpy.kind == "c" else flat).tolist())
    return proto


def test_the_fields_are_those_of_floats_and_booleans():
    assert [dtype.name for dtype in PACKED] == ["float", "double", "complex64", "bool", "complex128"]


@given(st.sampled_from(PACKED), st.integers(0, 3), st.integers(0, 300), st.integers(0, 2**32))
def test_an_array_becomes_the_message_that_protobuf_makes_of_its_numbers(dtype, rows, columns, seed):
    array = random_array(dtype, (rows, columns), seed)
    if dtype.name in ("float", "complex64"):  # a Python float keeps no signalling NaN of 32 bits
        floats = array.view(np.float32)
        array = np.where(np.isnan(floats), np.float32(0), floats).view(dtype.numpy)
    expected = by_lists(array)
    assert to_typed_proto(array).SerializeToString() == expected.SerializeToString()
    answer = predict_pb2.PredictResponse()
    fill_typed(answer.outputs["y"], array)
    assert answer.outputs["y"] == expected or np.isnan(array.reshape(-1).view(array.real.dtype)).any()
    back = from_proto(expected)
    assert back.tobytes() == array.tobytes()
    assert (back.dtype, back.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("dtype", PACKED, ids=lambda row: row.name)
def test_every_other_field_may_be_there_too(dtype):
    array = random_array(dtype, (10, 50), 7)
    message = to_typed_proto(array)
    message.version_number = -1
    for other in dtypes.ROWS:
        if other.field != dtype.field and not other.is_string:
            getattr(message, other.field).append(1)
    message.string_val.append(b"\x2a\x10" * 9)
    message.MergeFromString(b"\xfa\x3f\x04\x2a\x02\x00\x00")  # a field that nobody knows
    message.MergeFromString(b"\xfb\x3f\x28\x01\xfc\x3f")  # and a group
    assert from_proto(message).tobytes() == array.tobytes()


def test_an_odd_half_of_a_complex_number_is_dropped():
    message = tensor_pb2.TensorProto(dtype=8, scomplex_val=[1.0] * 101)
    message.tensor_shape.dim.add(size=50)
    np.testing.assert_array_equal(from_proto(message), np.full(50, 1 + 1j, np.complex64))


def test_too_few_numbers_repeat_the_last_and_too_many_are_dropped():
    message = tensor_pb2.TensorProto(dtype=1, float_val=[0.5] * 99 + [2.0])
    message.tensor_shape.dim.add(size=103)
    assert from_proto(message).tolist() == [0.5] * 99 + [2.0] * 4
    message.tensor_shape.dim[0].size = 98
    assert from_proto(message).tolist() == [0.5] * 98
