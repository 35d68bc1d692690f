"""Arrow streams and Parquet files of strangers <-> tensors.

    bytes ──schema: names, types──▶ batches, each validated, counted ──▶ plain columns ──▶ tensors
    outputs ──columns──▶ a stream or a file

A body can be malformed so that Arrow reads beyond memory: all of it is validated before it is used, and whoever may be sent
one calls `read` in a process that may die. Its memory is bounded by that process, what is decoded by `most_bytes`.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.json_arrays.values import MAX_DEPTH
from signet.serving.tables import arrow_cells, arrow_columns, columns
from signet.serving.tables.columns import Column
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

NAMES = {"arrow": "the Arrow stream", "parquet": "the Parquet file"}

_ROWS = 1 << 13
"""Rows of a Parquet file that are decoded at a time."""
_STRINGS, _CONTAINERS = 1 << 24, 1 << 20
"""Bytes and elements of what the footer of a Parquet file holds."""
MALFORMED = (pa.ArrowException, OSError, ValueError, OverflowError, LookupError, TypeError)
"""What Arrow raises for bodies that are not what they should be."""
_MOST_SAID = 200

NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
VIEWS = (pa.types.is_string_view, pa.types.is_binary_view)
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def read(body: bytes, form: str, signature: Signature, fill: PaddingRule | None, most_bytes: int) -> Arrays:
    """The inputs of a body. form: a key of `NAMES`. most_bytes: of its columns, decoded.

    Raises `InvalidInput`, which names the column, `TooLarge` and MemoryError.
    """
    what = NAMES[form]
    pa.set_cpu_count(1)
    try:
        schema, batches = opened(body, form, most_bytes)
        found = columns.of_inputs(signature, schema.names, what)
        for name, spec in signature.inputs.items():
            for each in found[name]:
                _check_type(schema.field(each).type, each, spec)
        table = _table(schema, batches, what, most_bytes)
    except MemoryError:
        raise
    except MALFORMED as error:
        raise InvalidInput(f"{what} is malformed: {str(error)[:_MOST_SAID]}") from error
    if not table.num_rows:
        raise InvalidInput(f"{what} has no rows; expected at least one")

    def column(spec: TensorSpec, name: str, alone: bool) -> Column:
        return _values(table[name].combine_chunks(), name, spec)

    return columns.arrays(found, column, signature, fill)


def written(outputs: Arrays, form: str, specs: Mapping[str, TensorSpec]) -> bytes:
    """The outputs as a stream of one batch, or a file. Raises `InvalidInput` for what no table can hold."""
    fields, arrays = [], []
    rows, row_specs = columns.rows_out(outputs, specs)
    for name, array in rows.items():
        column = _written(name, array, row_specs[name])
        fields.append(pa.field(name, column.type))
        arrays.append(column)
    made = pa.table(arrays, schema=pa.schema(fields))
    out = io.BytesIO()
    if form == "arrow":
        with pa.ipc.new_stream(out, made.schema) as writer:
            writer.write_table(made)
    else:
        pq.write_table(made, out)
    return out.getvalue()


def opened(body: bytes, form: str, most_rows: int) -> tuple[Any, Iterator[Any]]:
    """The schema of a body, and its batches, not yet validated. form: a key of `NAMES`. Raises one of `MALFORMED`, `TooLarge`."""
    return (_stream if form == "arrow" else _parquet)(body, most_rows)


def _stream(body: bytes, _most_rows: int) -> tuple[Any, Iterator[Any]]:
    stream = pa.ipc.open_stream(pa.BufferReader(body), options=pa.ipc.IpcReadOptions(use_threads=False))
    return stream.schema, iter(stream)


def _parquet(body: bytes, most_rows: int) -> tuple[Any, Iterator[Any]]:
    file = pq.ParquetFile(
        pa.BufferReader(body),
        pre_buffer=False,
        thrift_string_size_limit=_STRINGS,
        thrift_container_size_limit=_CONTAINERS,
        page_checksum_verification=True,
    )
    if file.metadata.num_rows > most_rows:
        raise TooLarge(f"the Parquet file has {file.metadata.num_rows} rows; here it may have {most_rows}")
    return file.schema_arrow, file.iter_batches(batch_size=_ROWS, use_threads=False)


def _table(schema: Any, batches: Iterator[Any], what: str, most_bytes: int) -> Any:
    """All batches, validated, in plain types. Raises `TooLarge` for more than so many bytes."""
    left = most_bytes
    kept = []
    for batch in batches:
        batch.validate(full=True)
        left -= sum(decoded_bytes(column) for column in batch.columns)
        if left < 0:
            raise TooLarge(f"{what} has more than {most_bytes} bytes when decoded")
        kept.append(pa.RecordBatch.from_arrays([plain(column) for column in batch.columns], names=batch.schema.names))
    return pa.Table.from_batches(kept) if kept else schema.empty_table()


def _check_type(kind: Any, name: str, spec: TensorSpec) -> None:
    """Raise `InvalidInput` for a type of which no such input can be made."""
    leaf, depth = storage(kind), 0
    while any(is_list(leaf) for is_list in LISTS):
        leaf, depth = storage(leaf.value_type), depth + 1
        if depth > MAX_DEPTH:
            raise InvalidInput(f"column {name!r} has lists nested deeper than {MAX_DEPTH}")
    if pa.types.is_dictionary(leaf):
        leaf = leaf.value_type
    text = any(check(leaf) for check in (*TEXTS, *VIEWS))
    wanted = spec.dtype.name if spec.dtype else "a type that cannot be sent"
    string = spec.dtype is not None and spec.dtype.is_string
    whole = spec.dtype is not None and spec.dtype.numpy.kind in "iu"
    plain = any(check(leaf) for check in NUMBERS)
    if not (text if string else plain) or (whole and pa.types.is_floating(leaf)):
        raise InvalidInput(f"column {name!r} is {str(kind)[:_MOST_SAID]}; input {spec.name!r} takes {wanted}")


def storage(kind: Any) -> Any:
    """The type of what an extension type stores, such as that of tensors of one shape."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def decoded_bytes(column: Any) -> int:
    """The bytes of a column whose dictionaries and views, which say the same again and again, are written out."""
    leaf = column
    nbytes = column.nbytes
    while True:
        leaf = leaf.storage if isinstance(leaf.type, pa.BaseExtensionType) else leaf
        if not any(is_list(leaf.type) for is_list in LISTS):
            break
        leaf = leaf.flatten()
    if pa.types.is_dictionary(leaf.type):
        values = leaf.dictionary
        if any(check(values.type) for check in (*TEXTS, *VIEWS)):
            nbytes += pc.sum(pc.take(_lengths(values), leaf.indices)).as_py() or 0
        else:
            nbytes += len(leaf) * 8
    elif any(check(leaf.type) for check in VIEWS):
        nbytes += pc.sum(_lengths(leaf)).as_py() or 0
    return int(nbytes)


def _lengths(texts: Any) -> Any:
    if not any(check(texts.type) for check in VIEWS):
        return pc.cast(pc.binary_length(texts), pa.int64())
    # No kernel measures views: the first four bytes of each say how long it is.
    buffer = texts.buffers()[1]
    views = np.frombuffer(buffer, np.int32)[texts.offset * 4 : (texts.offset + len(texts)) * 4]
    lengths = views.reshape(-1, 4)[:, 0].astype(np.int64)
    return pa.array(np.where(texts.is_null().to_numpy(zero_copy_only=False), 0, lengths))


def plain(column: Any) -> Any:
    """A column without extension types, dictionaries and views."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    kind = _plain_type(column.type)
    return column if kind == column.type else column.cast(kind)


def _plain_type(kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    return _list_of(_plain_type, kind)


def _list_of(inner: Callable[[Any], Any], kind: Any) -> Any:
    """The same kind of list, of what `inner` makes of its values; what is no list as it is."""
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(inner(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(inner(kind.value_type))
    return kind


def _values(column: Any, name: str, spec: TensorSpec) -> Column:
    """The values of a plain column: an array where its rows have one shape, else lists."""
    _check_values(column, name, spec)
    array = arrow_cells.regular(column)
    if array is not None:
        return array
    values: list[Any] = _as_bytes(column).to_pylist()
    return values


def _check_values(column: Any, name: str, spec: TensorSpec) -> None:
    """Raise `InvalidInput` for a null."""
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise InvalidInput(f"input {spec.name!r} has no value in row {row + 1}: column {name!r} is null there")
    inner = column
    while any(is_list(inner.type) for is_list in LISTS):
        inner = inner.flatten()
        if inner.null_count:
            raise InvalidInput(f"input {spec.name!r} lacks a value: column {name!r} has a null in one of its lists")


def _as_bytes(column: Any) -> Any:
    """Lists of texts as lists of their bytes."""
    return column.cast(_binary_type(column.type))


def _binary_type(kind: Any) -> Any:
    if any(check(kind) for check in TEXTS):
        return pa.large_binary()
    return _list_of(_binary_type, kind)


def _written(name: str, array: Array, spec: TensorSpec) -> Any:
    """An output's rows as a column."""
    assert spec.dtype is not None, "the model gave it"
    promised = spec.shape[1:] if spec.shape else array.shape[1:]
    sizes = promised if len(promised) == array.ndim - 1 else array.shape[1:]
    binary = name.endswith("_bytes")
    try:
        return arrow_columns.column(array, arrow_columns.row_type(spec.dtype, sizes, binary=binary))
    except pa.ArrowInvalid:
        if binary or not spec.dtype.is_string:
            raise
        return arrow_columns.column(array, arrow_columns.row_type(spec.dtype, sizes, binary=True))
