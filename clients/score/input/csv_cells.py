"""The cells of CSV records as an Arrow table of text, a column for each name of the header.

    CsvRecords(header ("id", "x"), 2 records)  ──table──▶  id: string ["7", "8"], x: string ["0.5", "[1, 2]"]

What numbers a text holds is said by the input that it goes to: `serving/tables/arrow_cells.py`.
"""

import base64
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from signet.clients.score.input.csv_records import CsvRecords


def table(content: CsvRecords, wanted: tuple[str, ...] | None, bad: dict[int, str]) -> Any:
    """The records as a table of text, of the columns that are wanted; None: of all.

    bad: gets the reason, by place, for a record with too few or too many cells or with bytes that are no text; its
    cells are null.
    """
    width = len(content.header)
    chosen = [name for name in content.header if wanted is None or name in wanted]
    if chosen and all(record.parsed is None for record in content.records):
        with suppress(pa.ArrowException, UnicodeEncodeError):
            found = _of_plain_lines(content, chosen)
            if found.num_rows == len(content.records):
                return found
    rows: list[Any] = content.rows()
    for place, cells in enumerate(rows):
        if len(cells) != width:
            bad[place] = f"it has {_counted(len(cells))}, the header has {width}"
            rows[place] = [None] * width
    columns = zip(*rows, strict=True) if rows else ([] for _ in content.header)
    texts = {
        name: _texts(list(cells), name, content, bad)
        for name, cells in zip(content.header, columns, strict=True)
        if name in chosen
    }
    return pa.table(texts) if texts else pa.table({"": pa.nulls(len(rows))}).select([])


def _of_plain_lines(content: CsvRecords, names: list[str]) -> Any:
    """Lines without quotes, which Arrow cuts up several times as fast. Raises where one has other cells than the header."""
    text = "".join(record.text for record in content.records).encode()
    return pa_csv.read_csv(
        pa.BufferReader(text),
        pa_csv.ReadOptions(column_names=list(content.header), use_threads=False, block_size=len(text) + 2),
        pa_csv.ParseOptions(delimiter=content.dialect.delimiter, quote_char=False),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, include_columns=names
        ),
    )


def _counted(cells: int) -> str:
    return f"{cells} cells" if cells != 1 else "1 cell"


def _texts(cells: list[str | None], name: str, content: CsvRecords, bad: dict[int, str]) -> Any:
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:
        pass
    for place, cell in enumerate(cells):
        try:
            (cell or "").encode()
        except UnicodeEncodeError as error:
            asked = "say --encoding" if content.dialect.encoding == "utf-8" else "is --encoding right?"
            code = ord(error.object[error.start])
            odd = f"the byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"half a character, 0x{code:x}"
            bad.setdefault(place, f"the column {name!r} holds {odd}, which is no {content.dialect.encoding}; {asked}")
            cells[place] = None
    return pa.array(cells, pa.string())


def original(content: CsvRecords, place: int) -> Any:
    """The text of a record as it came, for a dead letter; what is no text as base64."""
    text = content.records[place].text.rstrip("\r\n")
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"b64": base64.b64encode(text.encode(content.dialect.encoding, content.dialect.errors)).decode()}
    return text
