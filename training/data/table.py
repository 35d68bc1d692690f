"""Rows of a user's own file, each with its place: CSV, JSON Lines or Parquet.

    people.csv, {"posts", "age", …}  ──rows──▶  ("people.csv:2", {"posts": "…", "age": "19", …}), …

Every row has the columns asked for, as the file writes them: text from CSV, JSON's values from JSON Lines. What is wrong is
`BadData` with file and line: columns that are missing or there twice, rows of another length, broken text. CSV may be parted by
commas, semicolons, tabs or bars, told by the heading; cells may be of any length and hold line breaks.
"""

import csv
import difflib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet.training.model import Array, BadData

_SEPARATORS = ",;\t|"
Row = dict[str, Any]


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """(place, row) of each row, in order. Raises BadData."""
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if path.is_dir() or reader is None:
        raise BadData(f"{path}: expected a file called .csv, .tsv, .jsonl or .parquet")
    for where, row in reader(path, columns):
        for column in columns:
            _check_text(where, column, row[column])
        yield where, row


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error


def _csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    text = _text(path)
    csv.field_size_limit(sys.maxsize)  # a cell may hold all that somebody ever wrote
    line = 1
    try:
        separator, heading = _heading(text, columns)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        next(reader, None)
        _check_columns(f"{path}:1", columns, heading)
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                if len(cells) != len(heading):
                    raise BadData(
                        f"{path}:{line}: expected {len(heading)} cells, as the first line has, found {len(cells)}; "
                        "is a text with separators unquoted?"
                    )
                yield f"{path}:{line}", dict(zip(heading, cells, strict=True))
            line = reader.line_num + 1  # a cell may hold line breaks
    except csv.Error as error:
        raise BadData(f"{path}:{line}: not CSV: {error}") from error


def _heading(text: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """What parts the cells, and the first line's: the separator that gives most of the columns, the comma of equals."""
    file = io.StringIO(text, newline="")
    headings = {}
    for separator in _SEPARATORS:
        file.seek(0)
        headings[separator] = next(csv.reader(file, delimiter=separator, strict=True), [])
    best = max(_SEPARATORS, key=lambda separator: len({cell.strip() for cell in headings[separator]} & set(columns)))
    return best, headings[best]


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"

        def unique(pairs: list[tuple[str, Any]], where: str = where) -> Row:
            row = dict(pairs)
            if len(row) < len(pairs):
                twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
                raise BadData(f"{where}: {twice!r} is there twice: which of the two is meant?")
            return row

        try:
            row = json.loads(line, object_pairs_hook=unique)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{where}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise BadData(f"{where}: expected an object with {', '.join(columns)}, found {line.strip()[:60]}")
        _check_columns(where, columns, list(row))
        yield where, row


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    import pyarrow  # only this kind of file needs it
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise BadData(f"{path}: not a Parquet file: {error}") from error
    with file:
        _check_columns(str(path), columns, file.schema_arrow.names)
        number = 0
        try:
            for batch in file.iter_batches(columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
        except (pyarrow.ArrowException, ValueError) as error:
            raise BadData(f"{path}, row {number + 1}: cannot be read: {error}") from error


def _check_columns(where: str, columns: Sequence[str], present: Sequence[str]) -> None:
    """Each of the columns, and once. Others may be there as well."""
    missing = [column for column in columns if column not in present]
    if missing:
        raise BadData(
            f"{where}: expected the columns {', '.join(columns)}; missing: {', '.join(missing)}; "
            f"found: {', '.join(map(repr, present)) or 'nothing'}{_did_you_mean(missing, present)}"
        )
    for column in columns:
        if present.count(column) > 1:
            raise BadData(f"{where}: the column {column!r} is there twice: which of the two is meant?")


def _did_you_mean(missing: Sequence[str], present: Sequence[str]) -> str:
    plain = {name.strip().lower(): name for name in present}
    for column in missing:
        near = difflib.get_close_matches(column, plain, n=1)
        if near:
            return f" (did you mean {plain[near[0]]!r} to be {column!r}?)"
    return ""


def _check_text(where: str, column: str, value: Any) -> None:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise BadData(
                    f"{where}: {column} holds half a character ({text[error.start]!r}), which is no text; "
                    "was an emoji cut in two?"
                ) from error


def shown(value: Any) -> str:
    """A value as messages quote it."""
    return "empty" if value in ("", None) else repr(value)[:60]


def fifth(path: Path, count: int, kind: str) -> tuple[Array, Array]:
    """Numbers of the rows to learn from, and of the fifth that is held out, chosen once and for all. Raises BadData."""
    if count < 5:
        raise BadData(f"{path}: expected five {kind} or more, to hold some out; found {count}")
    order = np.random.default_rng(0).permutation(count)
    return order[count // 5 :], order[: count // 5]


def check_several(path: Path, column: str, values: Sequence[Any]) -> None:
    """Raise BadData when all rows to learn from have the same value: there is nothing to tell apart."""
    if len(set(values)) == 1:
        raise BadData(
            f"{path}: all {len(values)} rows to learn from have {column} {values[0]}; expected two kinds at least "
            "(four fifths of the rows are learnt from, the others are held out)"
        )
