"""numpy array <-> the bytes of a TensorProto, without the message between them: each value is copied once.

    array ──parts──▶ head (kept for its dtype and shape), the array's own memory        one join makes the message
    bytes ──read──▶ RawTensor: dtype, shape, where the values lie ──array──▶ array

Exact: what `read` accepts means to protobuf's library the same, and for all else it raises `Unusual`; a test holds both
against each other. `array` follows `arrays.from_proto`, and so does its `InvalidInput`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, as_bytes, from_content, from_values, size_of
from signet.serving.tensors.wire_format import DELIMITED, Unusual, delimited, packed_varints, read_length, tag, varint

Part = bytes | memoryview

_DTYPE, _SHAPE, _DIM, _CONTENT, _STRING = 1, 2, 2, 4, 8
"""Numbers of fields: the first two and the last two of TensorProto, `dim` of TensorShapeProto."""
_DTYPE_TAG, _SHAPE_TAG, _CONTENT_TAG = 0x08, 0x12, 0x22
_DIM_TAG, _SIZE_TAG = 0x12, 0x08
_STRING_VALUE = tag(_STRING, DELIMITED)
_FIELD_TAGS = {
    0x2A: "float_val",
    0x32: "double_val",
    0x3A: "int_val",
    0x42: "string_val",
    0x4A: "scomplex_val",
    0x52: "int64_val",
    0x5A: "bool_val",
    0x62: "dcomplex_val",
    0x6A: "half_val",
}
_LONG_TAGS = {0x82: "uint32_val", 0x8A: "uint64_val"}
"""First bytes of tags of two bytes, the second of which is 1."""


class RawTensor(NamedTuple):
    """A TensorProto as its message tells it, without the rules of `arrays.from_proto`."""

    dtype_enum: int
    shape: tuple[int, ...]
    content: memoryview
    """`tensor_content`, empty where there is none."""
    values: Array | None
    """What the typed field of its type holds, on the message's own memory where that is aligned; None for nothing."""

    def array(self) -> Array:
        """The tensor as `arrays.from_proto` reads it. Raises `InvalidInput` and `Unsupported`."""
        dtype = dtypes.from_enum(self.dtype_enum)
        count = size_of(self.shape)
        if self.content and not dtype.is_string:
            return _aligned(from_content(self.content, dtype, self.shape, count))
        values = np.empty(0, dtype.numpy) if self.values is None else self.values
        return from_values(values, count, dtype).reshape(self.shape)


def read(data: bytes, at: int, end: int) -> RawTensor:
    """The TensorProto between two places of a message. Raises `Unusual`, and IndexError where the message is cut off."""
    dtype_enum = 0
    shape: tuple[int, ...] | None = None
    content = (0, 0)
    field = ""
    values: list[tuple[int, int]] = []
    while at < end:
        byte = data[at]
        at += 1
        if byte == _DTYPE_TAG:
            dtype_enum = data[at]
            at += 1
            if dtype_enum > 0x7F:
                raise Unusual
            continue
        if byte == _SHAPE_TAG and shape is None:
            start, at = read_length(data, at, end)
            shape = _shape(data, start, at)
            continue
        if byte == _CONTENT_TAG:
            start, at = read_length(data, at, end)
            content = start, at
            continue
        name = _FIELD_TAGS.get(byte)
        if name is None:
            name = _LONG_TAGS.get(byte)
            if name is None or data[at] != 1:
                raise Unusual
            at += 1
        if field and (name != field or name != "string_val"):
            raise Unusual
        field = name
        start, at = read_length(data, at, end)
        values.append((start, at))
    if at != end:
        raise Unusual
    start, stop = content
    return RawTensor(dtype_enum, shape or (), memoryview(data)[start:stop], _values(data, dtype_enum, field, values))


def _values(data: bytes, dtype_enum: int, field: str, values: Sequence[tuple[int, int]]) -> Array | None:
    if not field:
        return None
    dtype = _OF_ENUM.get(dtype_enum)
    if dtype is None or dtype.field != field:
        raise Unusual  # the library looks whether values that nobody wants are sound
    return _READERS[field](data, values, dtype)


_OF_ENUM = {dtype.enum: dtype for dtype in dtypes.ROWS}


def _shape(data: bytes, at: int, end: int) -> tuple[int, ...]:
    sizes = []
    while at < end:
        if data[at] != _DIM_TAG:
            raise Unusual
        size = data[at + 1]  # of the dimension's message: a tag and a number, or nothing for a size of 0
        at += 2
        if size == 2 and data[at] == _SIZE_TAG and data[at + 1] < 0x80:
            sizes.append(data[at + 1])
            at += 2
        elif not size:
            sizes.append(0)
        else:
            at = _long_dim(data, at, at + size, sizes)
    if at != end:
        raise Unusual
    return tuple(sizes)


def _long_dim(data: bytes, at: int, stop: int, sizes: list[int]) -> int:
    if data[at] != _SIZE_TAG:
        raise Unusual
    number = shift = 0
    for byte in data[at + 1 : stop]:
        number |= (byte & 0x7F) << shift
        shift += 7
    if not 7 < shift <= 35 or data[stop - 1] > 0x7F or any(byte < 0x80 for byte in data[at + 1 : stop - 1]):
        raise Unusual  # negative sizes have ten bytes
    sizes.append(number)
    return stop


def _strings(data: bytes, values: Sequence[tuple[int, int]], _: dtypes.DType) -> Array:
    out = np.empty(len(values), object)
    out[:] = [data[start:stop] for start, stop in values]
    return out


def _fixed(data: bytes, values: Sequence[tuple[int, int]], dtype: dtypes.DType) -> Array:
    """Numbers of four or eight bytes: halves of a complex number count one by one, and an odd one is left out."""
    ((start, stop),) = values
    part = dtype.numpy.itemsize // (2 if dtype.numpy.kind == "c" else 1)
    if (stop - start) % part:
        raise Unusual
    return _aligned(np.frombuffer(data, dtype.numpy, (stop - start) // dtype.numpy.itemsize, start))


def _varints(convert: Callable[[NDArray[np.uint64], dtypes.DType], Array]) -> Callable[..., Array]:
    def read_values(data: bytes, values: Sequence[tuple[int, int]], dtype: dtypes.DType) -> Array:
        ((start, stop),) = values
        return convert(packed_varints(data, start, stop), dtype)

    return read_values


_READERS: dict[str, Callable[..., Array]] = {
    "float_val": _fixed,
    "double_val": _fixed,
    "scomplex_val": _fixed,
    "dcomplex_val": _fixed,
    "string_val": _strings,
    # Numbers wrap, as C++ makes them fit their field and then the type.
    "int_val": _varints(lambda numbers, dtype: numbers.astype(np.uint32).view(np.int32).astype(dtype.numpy)),
    "int64_val": _varints(lambda numbers, _: numbers.view(np.int64)),
    "uint32_val": _varints(lambda numbers, _: numbers.astype(np.uint32)),
    "uint64_val": _varints(lambda numbers, _: numbers),
    "bool_val": _varints(lambda numbers, _: numbers != 0),
    "half_val": _varints(lambda numbers, dtype: numbers.astype(np.uint16).view(dtype.numpy)),
}


def _aligned(array: Array) -> Array:
    """The array, copied where its numbers do not lie at multiples of their size: not all native code copes with that."""
    return array if array.flags.aligned else array.copy()


def parts(array: Array) -> tuple[int, list[Part]]:
    """How long the message of `arrays.to_proto` is for an array, and its bytes in pieces."""
    dtype = dtypes.from_numpy(array.dtype)
    if dtype.is_string:
        texts = [as_bytes(value) for value in array.reshape(-1).tolist()]
        fields = b"".join([piece for text in texts for piece in (_STRING_VALUE, varint(len(text)), text)])
        head = _head(dtype.enum, array.shape)
        return len(head) + len(fields), [head, fields]
    if not array.size:
        head = _head(dtype.enum, array.shape)
        return len(head), [head]
    head = _content_head(dtype.enum, array.shape, array.nbytes)
    # A view of bytes: `memoryview` knows nothing of types such as bfloat16.
    return len(head) + array.nbytes, [head, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data]


@lru_cache(maxsize=512)
def _head(dtype_enum: int, shape: tuple[int, ...]) -> bytes:
    """The type and the shape, which a scalar has too."""
    dims = [delimited(_DIM, tag(1, 0) + varint(size) if size else b"") for size in shape]
    return tag(_DTYPE, 0) + varint(dtype_enum) + delimited(_SHAPE, b"".join(dims))


@lru_cache(maxsize=512)
def _content_head(dtype_enum: int, shape: tuple[int, ...], nbytes: int) -> bytes:
    return _head(dtype_enum, shape) + tag(_CONTENT, DELIMITED) + varint(nbytes)
