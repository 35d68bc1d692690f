"""TensorProto by the C++ rules; TensorFlow's own decoder is the judge in `test_agrees_with_tensorflow`."""

import numpy as np
import pytest

from signet.serving.errors import InvalidInput, Unsupported
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import check_empty, from_proto, to_proto, to_typed_proto
from signet.serving.tensors.protos import tensor_pb2

VALUES = {
    "string": np.array([[b"a", b"\x00\xff"], [b"", "ß".encode()]], object),
    "bool": np.array([[True, False], [False, True]]),
}


def sample(dtype: dtypes.DType) -> np.ndarray:
    return VALUES.get(dtype.name, np.array([[0, 1], [2, 100]]).astype(dtype.numpy))


@pytest.mark.parametrize("write", [to_proto, to_typed_proto])
@pytest.mark.parametrize("dtype", dtypes.ROWS, ids=lambda row: row.name)
def test_every_dtype_survives_both_forms(write, dtype):
    array = sample(dtype)
    back = from_proto(tensor_pb2.TensorProto.FromString(write(array).SerializeToString()))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 1)])
def test_every_shape_survives(shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    for write in (to_proto, to_typed_proto):
        np.testing.assert_array_equal(from_proto(write(array)), array)
        assert write(array).HasField("tensor_shape"), "of a scalar it is empty, but there"


def proto(dtype: int, dims: list[int], **values: object) -> tensor_pb2.TensorProto:
    message = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in dims:
        message.tensor_shape.dim.add(size=size)
    return message


ODD = [
    (proto(1, [3], float_val=[1.0, 2.0]), np.float32([1, 2, 2])),
    (proto(1, [2]), np.float32([0, 0])),
    (proto(1, [1], float_val=[1.0, 2.0]), np.float32([1])),
    (proto(1, [2], int_val=[5]), np.float32([0, 0])),
    (proto(4, [1], int_val=[300]), np.uint8([44])),
    (proto(7, [2], string_val=[b"x"]), np.array([b"x", b"x"], object)),
    (proto(7, [1]), np.array([b""], object)),
    (proto(3, [], int_val=[7]), np.array(7, np.int32)),
]


@pytest.mark.parametrize(("message", "expected"), ODD)
def test_odd_messages_are_read_as_cpp_does(message, expected):
    np.testing.assert_array_equal(from_proto(message), expected)


@pytest.mark.parametrize(
    "message",
    [
        proto(1, [2], tensor_content=b"123"),
        proto(1, [-1], float_val=[1.0]),
        proto(1, [1 << 40, 1 << 40]),
        proto(1, [1 << 33], float_val=[1.0]),
        proto(1, [0, 1 << 62]),
        proto(1, [1] * 65, float_val=[1.0]),
        proto(1, [1 << 25], float_val=[1.0]),  # 128 MB out of a dozen bytes
        proto(7, [1 << 21], string_val=[b"a"]),
        proto(7, [150], string_val=[bytes(1 << 20)]),
    ],
)
def test_impossible_messages_are_refused(message):
    with pytest.raises(InvalidInput):
        from_proto(message)


def test_very_many_empty_rows_are_refused():
    check_empty((0, 1 << 30), "")
    check_empty((1 << 16, 0), "")
    for shape in ((1 << 30, 0), (1, 1 << 30, 0)):
        with pytest.raises(InvalidInput, match="very large for a tensor without elements"):
            check_empty(shape, "")


def test_only_what_is_repeated_counts():
    strings = [bytes(1 << 12)] * (1 << 15)
    assert len(from_proto(proto(7, [len(strings) + 1], string_val=strings))) == len(strings) + 1


def test_an_unknown_type_is_unsupported():
    with pytest.raises(Unsupported):
        from_proto(proto(21, [1]))


def test_agrees_with_tensorflow():
    import tensorflow as tf

    messages = [message for message, _ in ODD]
    messages += [write(sample(dtype)) for dtype in dtypes.ROWS for write in (to_proto, to_typed_proto)]
    for message in messages:
        theirs = tf.io.parse_tensor(message.SerializeToString(), message.dtype).numpy()
        np.testing.assert_array_equal(from_proto(message), theirs)
