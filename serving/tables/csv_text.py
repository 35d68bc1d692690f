"""CSV with a header <-> tensors: a column an input or output, or one for each element of a row.

    age,pixels_0,pixels_1 ⏎ 33,0.5,1 ⏎    ──read──▶ {"age": (1, 1), "pixels": (1, 2)}
    digit_0,digit_1 ⏎ 0.25,0.75 ⏎         ◀─written── {"digit": (1, 2)}

Delimiter, encoding and quoting are found out as for the files that are scored. Rows that the signature leaves open, and those
with very many elements, are one cell of JSON. Source: RFC 4180.
"""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import orjson

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays.non_finite import NonFinite, is_finite
from signet.serving.json_arrays.non_finite import text as numbers_text
from signet.serving.rest_dialect import json_codec
from signet.serving.tables import columns, csv_dialect, text_cells
from signet.serving.tables.columns import Column
from signet.serving.tables.csv_dialect import Dialect
from signet.serving.tables.output_columns import names_of
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

WHAT = "the CSV body"

csv.field_size_limit(1 << 28)  # bodies are bounded; the usual limit is less than a picture in base64


def read(body: bytes, charset: str, signature: Signature, fill: PaddingRule | None) -> Arrays:
    """The inputs of a body. charset: its encoding; empty: as its beginning tells. Raises `InvalidInput`."""
    header, rows = _records(body, charset)
    found = columns.of_inputs(signature, header, WHAT)
    count = len(rows)
    if not count:
        raise InvalidInput(f"{WHAT} has a header and no rows; expected at least one row")
    for i, cells in enumerate(rows):
        if len(cells) != len(header):
            raise InvalidInput(f"row {i + 1} of {WHAT} has {_counted(len(cells))}, the header has {len(header)}")
    texts = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))

    def column(spec: TensorSpec, name: str, alone: bool) -> Column:
        single = not alone or columns.takes_single(spec, count)
        return text_cells.column(spec, texts[name], single=single, where=f"column {name!r}")

    return columns.arrays(found, column, signature, fill)


def written(outputs: Arrays, specs: Mapping[str, TensorSpec], non_finite: NonFinite = "bare") -> bytes:
    """The outputs as CSV with a header. non_finite: the words NaN, Infinity and -Infinity, or `null`: an empty cell.

    Raises `InvalidInput` and `Unsupported` for outputs that CSV cannot hold.
    """
    header: list[str] = []
    parts: list[list[str]] = []
    rows, row_specs = columns.rows_out(outputs, specs)
    for name, array in rows.items():
        names = names_of(name, row_specs[name])
        flat = names is not None and math.prod(array.shape[1:]) == len(names)
        if flat and not names:
            continue  # rows without elements
        header += names if flat and names else [name]
        parts.append(_flat(name, array, non_finite) if flat else _nested(name, array, non_finite))
    lines = [",".join(map(_text, header)), *map(",".join, zip(*parts, strict=True)), ""]
    return "\r\n".join(lines).encode()


def _records(body: bytes, charset: str) -> tuple[list[str], list[list[str]]]:
    dialect = csv_dialect.detect(
        body[: csv_dialect.HEAD_BYTES], Dialect(encoding=charset), ",", len(body) <= csv_dialect.HEAD_BYTES
    )[0]
    try:
        text = body.decode(dialect.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{WHAT} is no {dialect.encoding}: byte 0x{body[error.start]:02x} at offset {error.start}; "
            "say its encoding, as in Content-Type: text/csv; charset=latin-1"
        ) from None
    lines = io.StringIO(text, newline="")
    if csv_dialect.says_delimiter(lines.readline()):
        text = text[lines.tell() :]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, **dialect.format)
    try:
        rows = [cells for cells in reader if cells]
    except csv.Error as error:
        raise InvalidInput(f"{WHAT} is broken at line {reader.line_num}: {error}") from None
    if not rows:
        raise InvalidInput(f"{WHAT} is empty; expected a header with the names of the inputs, then rows")
    header = rows.pop(0)
    if len(header) > 1:
        rows = [cells for cells in rows if len(cells) > 1 or cells[0].strip()]  # a blank line
    return header, rows


def _counted(cells: int) -> str:
    return f"{cells} cells" if cells != 1 else "1 cell"


def _flat(name: str, array: Array, non_finite: NonFinite) -> list[str]:
    """The cells of each row, joined, of an output whose elements have a column each."""
    if not array.size:
        return [""] * len(array)
    table = array.reshape(len(array), -1)
    if array.dtype == object:
        return [",".join([_cell(value) for value in row]) for row in json_codec.json_strings(name, table)]
    numbers = json_codec.json_numbers(name, table)
    if numbers.dtype.kind == "f" and not is_finite(numbers):
        text = orjson.dumps(numbers_text(numbers, "null" if non_finite == "null" else "bare"))
    else:
        text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].decode().replace("null", "").split("],[")


def _nested(name: str, array: Array, non_finite: NonFinite) -> list[str]:
    """A cell of JSON for each row."""
    if array.dtype == object:
        return [_cell(row) for row in json_codec.json_strings(name, array)]
    rows = json_codec.json_numbers(name, array)
    if rows.dtype.kind == "f" and not is_finite(rows):
        return [_cell(numbers_text(rows[i, ...], non_finite)) for i in range(len(rows))]
    return [_cell(rows[i, ...] if rows.ndim > 1 else rows[i]) for i in range(len(rows))]


def _cell(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return _text(value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode())


def _text(text: str) -> str:
    """In quotes where it needs some; an empty one too: a line of nothing else would be passed over."""
    plain = text and not any(mark in text for mark in ',;"\r\n\t|') and text == text.strip() and text[0] != "\ufeff"
    return text if plain else '"' + text.replace('"', '""') + '"'
