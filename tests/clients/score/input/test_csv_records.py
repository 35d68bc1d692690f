"""CSV files of all dialects: the same records as Python's csv module and pandas find, with their bytes and places."""

import csv
import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signet.clients.score.chunk_scoring import score
from signet.clients.score.formats import Format
from signet.clients.score.input.chunk import Position
from signet.clients.score.input.reading import read
from signet.clients.score.input.sources import expand
from signet.clients.score.plan import Plan, mapping
from signet.serving.errors import UsageError
from signet.serving.tables.csv_dialect import UNKNOWN, Dialect, detect, of_options
from tests.clients.score.conftest import read_rows, run, signature

NOTES = signature(n0=("string", (None,)))
"""A model of one text; the rest is carried."""
MARKS = ",;\t|\"' \r\n"
CELLS = st.text(st.sampled_from("ab0é€\u2028" + MARKS), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


def found(path: Path, dialect: Dialect = UNKNOWN, rows: int = 3, start: Position | None = None) -> list[Any]:
    return list(read(expand([str(path)], "", dialect), start or Position(), rows))


def cells(chunks: list[Any]) -> list[list[str]]:
    return [row for chunk in chunks for row in chunk.content.rows()]


def scored(path: Path, dialect: Dialect = UNKNOWN) -> tuple[list[list[str]], list[str]]:
    """What a job makes of a file: the rows that were scored, by a model that gives its text back, and the letters."""
    rows, letters = [], []
    for chunk in found(path, dialect):
        plan = Plan(NOTES, mapping([], NOTES), None, "", False, Format("jsonl"))
        done = score(chunk, plan, lambda arrays: {"y": arrays["n0"]})
        assert done.written + len(done.letters.lines) == chunk.rows
        rows += [line for line in done.block.splitlines() if line]
        letters += done.letters.lines
    return rows, letters


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], dict[str, Any]]:
    """Rows with a header, and how `csv.writer` is to write them."""
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8))
    dialect = {
        "delimiter": draw(st.sampled_from(",;\t|")),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "quoting": csv.QUOTE_ALL,
    }
    if not any(mark in cell for row in rows for cell in row for mark in "\r\n"):  # the writer does not quote them all
        dialect["quoting"] = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    return [[f"n{i}" for i in range(width)], *rows], dialect


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    table=tables(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    blank=st.booleans(),
    packed=st.booleans(),
)
def test_files_of_every_dialect_have_the_records_that_csv_and_pandas_find(folder, table, encoding, blank, packed):
    rows, written = table
    if encoding == "cp1252":
        rows = [[cell.replace("\u2028", "") for cell in row] for row in rows]
    out = io.StringIO()
    writer = csv.writer(out, **written)
    for row in rows:
        writer.writerow(row)
        out.write(written["lineterminator"] * blank)
    data = out.getvalue().encode(encoding)
    path = folder / ("in.csv.gz" if packed else "in.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    asked = of_options(written["delimiter"], encoding, "double")

    expected = [
        row for row in csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=written["delimiter"]) if row
    ]
    assert expected == rows
    chunks = found(path, asked)
    assert cells(chunks) == expected[1:]
    import pandas as pd

    frame = pd.read_csv(path, sep=written["delimiter"], dtype=str, na_filter=False, encoding=encoding)
    assert frame.to_numpy().tolist() == expected[1:]
    texts = "".join(record.text for chunk in chunks for record in chunk.content.records)
    assert blank or out.getvalue().endswith(texts)
    for chunk in chunks:
        assert cells(found(path, asked, start=chunk.end)) == expected[1 + chunk.end.row :]
    kept, letters = scored(path, asked)
    assert (len(kept), letters) == (len(expected) - 1, [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(text=st.text(st.sampled_from('ab1,"\r\n '), max_size=60), delimiter=st.sampled_from(",;"))
def test_any_text_has_the_records_that_csv_finds(folder, text, delimiter):
    text = "n0,n1\n".replace(",", delimiter) + text
    path = folder / "any.csv"
    path.write_text(text, newline="")
    expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    expected = [row for row in expected[1:] if row and (len(row) > 1 or row[0].strip(" ") or '"' in text)]
    try:
        chunks = found(path, of_options(delimiter, "utf-8", "double"))
    except UsageError as error:
        assert "is not closed" in str(error)  # noqa: PT017
        return
    rows = cells(chunks)
    assert [row for row in rows if row != [" " * len(row[0])]] == [r for r in expected if r != [" " * len(r[0])]]
    _, letters = scored(path, of_options(delimiter, "utf-8", "double"))
    assert len(letters) == sum(len(row) != 2 for row in rows)


def test_a_quote_within_a_cell_is_text(tmp_path):
    """One cell `5" disk` once swallowed 1,990 rows."""
    rows = [f'{i},5" disk' if i == 9 else f"{i},disk" for i in range(2000)]
    (tmp_path / "in.csv").write_text("\n".join(["n0,n1", *rows]))
    assert cells(found(tmp_path / "in.csv", rows=64)) == [row.split(",") for row in rows]


def test_a_quote_that_is_not_closed_is_refused_and_not_the_rest_of_the_file(tmp_path):
    (tmp_path / "in.csv").write_text('n0,n1\n1,a\n2,"b\n3,c\n')
    problem = (
        "in.csv: a quote that is opened in the record at line 3 is not closed; where quotes are text, say --quoting"
    )
    with pytest.raises(UsageError, match=re.escape(problem)):
        found(tmp_path / "in.csv", rows=1)
    assert cells(found(tmp_path / "in.csv", of_options("", "", "none"))) == [["1", "a"], ["2", '"b'], ["3", "c"]]


def test_a_cell_may_be_long(tmp_path):
    (tmp_path / "in.csv").write_text(f'n0\n"{"a" * 200_000}\n"\n')
    assert cells(found(tmp_path / "in.csv")) == [["a" * 200_000 + "\n"]]


def test_a_header_alone_is_a_chunk_without_rows(tmp_path):
    (tmp_path / "in.csv").write_text("n0,n1\n")
    (chunk,) = found(tmp_path / "in.csv")
    assert (chunk.rows, chunk.content.header) == (0, ("n0", "n1"))


# Dialects that are found


@pytest.mark.parametrize(
    ("data", "name", "dialect", "told"),
    [
        (b"a,b\n1,2\n", ",", (",", "utf-8", "double"), ""),
        (b"a;b\n1;2,5\n", ",", (";", "utf-8", "double"), "the delimiter ';', as its first rows tell"),
        (b"a\tb\r1\t2\r", ",", ("\t", "utf-8", "double"), "the delimiter '\\t', as its first rows tell"),
        (b"a\tb\n1\t2\n", "\t", ("\t", "utf-8", "double"), ""),
        (b'"a|b"\n1\n', ",", (",", "utf-8", "double"), ""),
        (b"a;b\n1;2;3\n", ",", (",", "utf-8", "double"), ""),  # not in every row
        (b"a;b|c\n1;2|3\n", ",", (",", "utf-8", "double"), ""),  # it could be either
        (b"sep=;\na;b\n1;2\n", ",", (";", "utf-8", "double"), "the delimiter ';', as its first line says"),
        (b"\xef\xbb\xbfa,b\n", ",", (",", "utf-8", "double"), ""),
        ("a,é\n".encode("utf-16"), ",", (",", "utf-16-le", "double"), "as its byte order mark says"),
        ("a,b\nc,d\n".encode("utf-16-be"), ",", (",", "utf-16-be", "double"), "as every other byte is zero"),
        ("a,é\n".encode("cp1252"), ",", (",", "cp1252", "double"), "as it is no UTF-8 from its first letter"),
        ("a,é\n".encode() + b"\xff\n", ",", (",", "utf-8", "double"), ""),  # one bad byte of UTF-8
        (b'a,b\n"1 \\" 2, 3",4\n', ",", (",", "utf-8", "backslash"), "quotes within quotes behind a backslash"),
        (b'a,b\n"C:\\",4\n', ",", (",", "utf-8", "double"), ""),
        (b"", ",", (",", "utf-8", "double"), ""),
    ],
)
def test_a_dialect_is_found_where_one_reading_fits(data, name, dialect, told):
    found, why = detect(data, UNKNOWN, name, True)
    assert (found.delimiter, found.encoding, found.quoting) == dialect
    assert told in why if told else not why


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((";;", "", ""), "--delimiter is ';;'; expected one character, or tab"),
        (("", "gbk", ""), "--encoding is 'gbk'; expected utf-8, utf-16, cp1252"),
        (("", "utf-9", ""), "--encoding is 'utf-9'; expected utf-8"),
        (("", "", "doubel"), "--quoting is 'doubel'; expected double, backslash"),
    ],
)
def test_options_that_are_none_are_explained(options, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        of_options(*options)


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "cp1252.csv", "wide.csv", "single.csv"])
def test_a_job_tells_how_a_file_is_read(name, job, tmp_path):
    lines = ["note;x_0;x_1;x_2;x_3", "'é';1;2;3;4", "'a''b';5;6;7;8"]
    text = "\r\n".join(lines).replace("'", '"')
    if name == "in.tsv":
        text = text.replace(";", "\t")
    if name == "single.csv":
        text = "\r\n".join(lines)
    encoding = {"cp1252.csv": "cp1252", "wide.csv": "utf-16"}.get(name, "utf-8")
    (tmp_path / name).write_bytes(text.encode(encoding))
    made = job(
        inputs=[str(tmp_path / name)],
        output=str(tmp_path / "out.jsonl"),
        dialect=of_options("", "", "single" if name == "single.csv" else ""),
    )
    run(made)
    quote = "'" if name == "single.csv" else '"'
    rows = read_rows(tmp_path / "out.jsonl")
    assert [row["note"] for row in rows] == ["é", f"a{quote}b"]
    assert np.isfinite([row["q"] for row in rows]).all()
