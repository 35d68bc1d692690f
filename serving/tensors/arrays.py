"""numpy array <-> TensorProto, by the rules of TensorFlow's C++ code (`tensor.cc`), which differ from Python's.

A string tensor is an array of dtype object whose elements are bytes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signet.serving.errors import InvalidInput
from signet.serving.tensors import dtypes, packed
from signet.serving.tensors.protos import tensor_pb2

Array = NDArray[Any]
Arrays = dict[str, Array]

MAX_ELEMENTS = 1 << 31
"""Most elements a TensorProto may declare: its shape alone could otherwise ask for all memory."""

MAX_RANK = 64
"""Dimensions an array can have; TensorFlow allows 254."""

MAX_REPEATED_BYTES = 1 << 26
"""Most memory that is filled with repetitions of a value: eighty bytes of a message could otherwise make gigabytes."""

_STRING_BYTES = 64
"""What a string counts as beside its own bytes: TensorFlow's object for it, ours, and the time to make them."""


MAX_EMPTY = 1 << 16
"""Largest product of the other sizes where one is 0 and there are rows: they cost a caller nothing, but a model much."""


def check_empty(shape: Sequence[int], what: str) -> None:
    """Raise `InvalidInput` for a tensor without elements, but with very many rows or columns. what: begins the message."""
    if 0 in shape and shape[0] and math.prod(filter(None, shape)) > MAX_EMPTY:
        raise InvalidInput(f"{what}shape {list(shape)} is very large for a tensor without elements")


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """An array as TensorProto, its bytes in `tensor_content`: the fastest form to write and to read."""
    proto = tensor_pb2.TensorProto()
    dtype, array = _fill_header(proto, array)
    if dtype.is_string:
        proto.string_val.extend(as_bytes(value) for value in array.reshape(-1))
    else:
        proto.tensor_content = array.tobytes()
    return proto


def to_typed_proto(array: Array) -> tensor_pb2.TensorProto:
    """An array as TensorProto with every value in its typed field, which is how TensorFlow Serving answers."""
    proto = tensor_pb2.TensorProto()
    fill_typed(proto, array)
    return proto


def fill_typed(proto: tensor_pb2.TensorProto, array: Array) -> None:
    """Make an empty TensorProto, such as one in an answer, what `to_typed_proto` gives."""
    dtype, array = _fill_header(proto, array)
    if array.size >= packed.LEAST_NUMBERS and is_packed(dtype):
        packed.write(proto, dtype.field, array)
        return
    flat = array.reshape(-1)
    field = getattr(proto, dtype.field)
    if dtype.is_string:
        field.extend(as_bytes(value) for value in flat)
    elif dtype.field == "half_val":
        field.extend(flat.view(np.uint16).tolist())
    elif dtype.field in ("scomplex_val", "dcomplex_val"):
        field.extend(flat.view(flat.real.dtype).tolist())
    else:
        field.extend(flat.tolist())


def is_packed(dtype: dtypes.DType) -> bool:
    """Whether many values of that type are written and read at once, rather than one by one."""
    return packed.is_packed(tensor_pb2.TensorProto.DESCRIPTOR, dtype.field)


def from_proto(proto: tensor_pb2.TensorProto) -> Array:
    """A TensorProto as array.

    Too few values: the last one is repeated, none at all means zeros; too many: the rest is dropped; integers wrap.
    Raises `InvalidInput` for a shape that is not fully known, content of the wrong length, and too much to repeat.
    """
    dtype = dtypes.from_enum(proto.dtype)
    wanted = proto.tensor_shape
    shape = () if wanted.unknown_rank else tuple([dim.size for dim in wanted.dim])
    count = size_of(shape)
    if not dtype.is_string and (content := proto.tensor_content):
        return from_content(content, dtype, shape, count)
    return from_values(_values(proto, dtype), count, dtype).reshape(shape)


def size_of(shape: Sequence[int]) -> int:
    """How many elements a tensor has that a message declares. Raises `InvalidInput` for a shape that cannot be."""
    if shape and min(shape) < 0:
        raise InvalidInput(f"shape {list(shape)} has a negative dimension")
    if len(shape) > MAX_RANK:
        raise InvalidInput(f"the shape has {len(shape)} dimensions; at most {MAX_RANK} are supported")
    count = math.prod(shape)
    if (count or math.prod(filter(None, shape))) > MAX_ELEMENTS:  # numpy refuses large sizes beside a zero, too
        raise InvalidInput(f"shape {list(shape)} has more than {MAX_ELEMENTS} elements")
    return count


def from_content(content: bytes | memoryview, dtype: dtypes.DType, shape: Sequence[int], count: int) -> Array:
    """The array whose memory `tensor_content` is. Raises `InvalidInput` for another length than that of `count` elements."""
    if len(content) != count * dtype.numpy.itemsize:
        raise InvalidInput(
            f"tensor_content has {len(content)} bytes; "
            f"shape {list(shape)} of {dtype.name} needs {count * dtype.numpy.itemsize}"
        )
    return np.frombuffer(content, dtype.numpy).reshape(shape)


def as_string_array(array: Array) -> Array:
    """A str, bytes or object array as an object array of bytes; str is encoded as UTF-8."""
    out = np.empty(array.shape, object)
    flat = out.reshape(-1)
    for i, value in enumerate(array.reshape(-1).tolist()):
        flat[i] = as_bytes(value)
    return out


def _fill_header(proto: tensor_pb2.TensorProto, array: Array) -> tuple[dtypes.DType, Array]:
    dtype = dtypes.from_numpy(array.dtype)
    proto.dtype = dtype.enum
    shape = proto.tensor_shape
    if array.shape:
        add = shape.dim.add
        for size in array.shape:
            add(size=size)
    else:
        shape.SetInParent()  # of a scalar it is empty, but there
    return dtype, np.asarray(array, order="C")


def _values(proto: tensor_pb2.TensorProto, dtype: dtypes.DType) -> Array:
    field: Sequence[Any] = getattr(proto, dtype.field)
    is_many = len(field) >= packed.LEAST_NUMBERS and is_packed(dtype)
    if dtype.is_string:
        values = np.empty(len(field), object)
        values[:] = list(field)
        return values
    if dtype.field == "half_val":
        return np.array(field, np.int64).astype(np.uint16).view(dtype.numpy)
    if dtype.field in ("scomplex_val", "dcomplex_val"):
        part = np.float32 if dtype.field == "scomplex_val" else np.float64
        parts = packed.read(proto, dtype.field) if is_many else np.array(field, part)
        return parts[: len(parts) // 2 * 2].view(dtype.numpy)
    if dtype.field == "int_val" and dtype.name != "int32":
        return np.fromiter(field, np.int32, len(field)).astype(dtype.numpy)  # wraps, as C++ does
    return packed.read(proto, dtype.field) if is_many else np.fromiter(field, dtype.numpy, len(field))


def from_values(values: Array, count: int, dtype: dtypes.DType) -> Array:
    """So many elements of what a typed field holds: repeats the last one, drops the rest. See `from_proto`."""
    if len(values) == count:
        return values
    if len(values) > count:
        return values[:count]
    rest = values[-1] if len(values) else (b"" if dtype.is_string else dtype.numpy.type(0))
    # Of strings TensorFlow makes a copy for every element.
    nbytes = (count - len(values)) * (_STRING_BYTES + len(rest) if dtype.is_string else dtype.numpy.itemsize)
    if nbytes > MAX_REPEATED_BYTES:
        raise InvalidInput(
            f"{len(values)} values are too few for {count} elements of {dtype.name}: the last value is repeated up to "
            f"{MAX_REPEATED_BYTES >> 20} MB"
        )
    out = np.empty(count, dtype.numpy)
    out[: len(values)] = values
    out[len(values) :] = rest
    return out


def as_bytes(value: Any) -> bytes:
    """An element of a string tensor; str is encoded as UTF-8. Raises `InvalidInput` for anything else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise InvalidInput(f"a string tensor holds {type(value).__name__}; expected str or bytes")
