"""Reading files of every format in chunks: from the start and from the end of any chunk."""

import gzip
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signet.clients.score import formats
from signet.clients.score.chunk_scoring import parse
from signet.clients.score.formats import Format
from signet.clients.score.input import csv_records, lines, sources
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.reading import count, read
from signet.clients.score.input.sources import Source, expand
from signet.clients.score.plan import Plan, find, mapping
from signet.serving.errors import UsageError
from signet.serving.models import tfrecords
from signet.serving.tensors.protos import example_pb2
from tests.clients.score.conftest import signature

ROWS = 100
X = signature(x=("float", (None,)))


def write(path: Path) -> Path:
    """Rows with `id` and `x`, the latter twice the former, in the format that the name tells."""
    kind = formats.of_name(path.name)
    table = pa.table({"id": list(range(ROWS)), "x": pa.array([2.0 * i for i in range(ROWS)], pa.float32())})
    if kind.name == "parquet":
        pq.write_table(table, path, row_group_size=23)
    elif kind.name == "arrow":
        opened = pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file
        with opened(str(path), table.schema) as file:
            file.write_table(table, max_chunksize=23)
    else:
        text = {"jsonl": jsonl, "csv": csv, "tfrecord": records}[kind.name]()
        if kind.compression == "gzip":
            text = gzip.compress(text[:300]) + gzip.compress(text[300:])
        elif kind.compression == "zstd":
            text = b"".join(bytes(pa.Codec("zstd").compress(part)) for part in (text[:300], text[300:]))
        path.write_bytes(text)
    return path


def jsonl() -> bytes:
    blank = {5: "\n", 50: " \r\n"}
    return b"\xef\xbb\xbf" + b"".join(f'{blank.get(i, "")}{{"id": {i}, "x": {2 * i}}}\n'.encode() for i in range(ROWS))


def csv() -> bytes:
    return b"id,x,note\r\n" + b"".join(f'{i},{2 * i},"line\nof ""{i}"""\r\n\n'.encode() for i in range(ROWS))


def records() -> bytes:
    out = io.BytesIO()
    for i in range(ROWS):
        example = example_pb2.Example()
        example.features.feature["id"].int64_list.value.append(i)
        example.features.feature["x"].float_list.value.append(2 * i)
        tfrecords.write(out, example.SerializeToString())
    return out.getvalue()


def rows(found: list[Chunk]) -> list[tuple[int, float]]:
    """(id, x) of each row."""
    plan = Plan(X, mapping([], X), ("id",), "", False, Format("jsonl"))
    taken = []
    for chunk in found:
        batch = parse(chunk, plan)
        ((places, arrays),) = batch.groups()
        ids = [row["id"][0] if isinstance(row["id"], list) else int(row["id"]) for row in batch.carried(places)]
        taken += list(zip(ids, arrays["x"].tolist(), strict=True))
    return taken


def twice() -> bytes:
    """An Arrow stream with two columns of one name."""
    out = pa.BufferOutputStream()
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue().to_pybytes()


ALL = [(i, 2.0 * i) for i in range(ROWS)]
NAMES = [
    "a.jsonl", "a.ndjson.gz", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.parquet", "a.arrow", "stream.arrow",
    "a.tfrecord", "a.tfrecord.gz",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_reading_may_begin_at_the_end_of_any_chunk(name, tmp_path):
    found = expand([str(write(tmp_path / name))], "")
    all_chunks = list(read(found, Position(), 16))
    assert [chunk.rows for chunk in all_chunks] == [16] * 6 + [4]
    assert rows(all_chunks) == ALL
    for i, chunk in enumerate(all_chunks):
        again = list(read(found, chunk.end, 16))
        assert [(other.start, other.end) for other in again] == [(o.start, o.end) for o in all_chunks[i + 1 :]]
        assert rows(again) == ALL[chunk.end.row :]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "stream.arrow", "a.tfrecord"])
def test_chunks_end_with_their_file(name, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name)
    found = expand([str(tmp_path)], "")
    assert rows(list(read(found, Position(), 64))) == ALL * 2
    assert [chunk.rows for chunk in read(found, Position(), 64)] == [64, 36] * 2
    assert rows(list(read(found, Position(file=1), 64))) == ALL


def test_the_sizes_of_chunks_make_the_size_of_the_file(tmp_path):
    for name in ("a.jsonl", "a.tfrecord"):
        path = write(tmp_path / name)
        sizes = [chunk.size_bytes for chunk in read(expand([str(path)], ""), Position(), 7)]
        assert sum(sizes) == path.stat().st_size


def test_only_the_columns_that_are_wanted_are_read(tmp_path):
    for name in ("a.parquet", "a.arrow"):
        (chunk,) = read(expand([str(write(tmp_path / name))], ""), Position(), 1000, ("x",))
        assert chunk.content.column_names == ["x"]


def test_files_that_know_their_rows_are_counted(tmp_path):
    counts = {name: count(expand([str(write(tmp_path / name))], "")[0]) for name in NAMES}
    assert {name: rows for name, rows in counts.items() if rows} == {"a.parquet": ROWS, "a.arrow": ROWS}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.parquet", b"no", "a.parquet cannot be read as parquet: "),
        ("a.arrow", b"no", "a.arrow cannot be read as arrow: "),
        ("a.jsonl.gz", b"no", "a.jsonl.gz cannot be read as jsonl.gz: Not a gzipped file"),
        (
            "a.jsonl.gz",
            gzip.compress(b"1\n", mtime=0)[:-9],
            "a.jsonl.gz cannot be read as jsonl.gz: Compressed file ended",
        ),
        ("a.arrow", twice(), "a.arrow has two columns 'a'; each needs a name of its own"),
        ("a.csv", b"a,a\n1,2\n", "a.csv has two columns 'a'; each needs a name of its own"),
        ("a.tfrecord", b"0123456789abcdef", "a.tfrecord, after row 0: corrupted record at 0"),
    ],
)
def test_files_that_are_damaged_are_named(name, content, problem, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(problem)):
        list(read(expand([str(tmp_path / name)], ""), Position(), 8))


def test_a_file_without_line_ends_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_RECORD_BYTES", 64)
    (tmp_path / "a.jsonl").write_bytes(b"x" * 65)
    with pytest.raises(UsageError, match="there is a line of more than 64 bytes"):
        list(read(expand([str(tmp_path / "a.jsonl")], ""), Position(), 8))


def test_a_quote_that_is_never_closed_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_records, "MAX_RECORD_BYTES", 64)
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b'"\n' + b"1,2\n" * 100)
    with pytest.raises(UsageError, match="a quote that is opened at line 2 does not end within 64 bytes"):
        list(read(expand([str(tmp_path / "a.csv")], ""), Position(), 8))


# Sources


def test_folders_and_patterns_are_taken_in_order(tmp_path):
    for name in ("b.jsonl", "a.csv", "sub/c.parquet", ".hidden/d.csv", "_manifest.json", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")

    def names(*inputs: str) -> list[str]:
        found = expand([str(tmp_path / name) for name in inputs], "")
        return [str(Path(source.path).relative_to(tmp_path)) for source in found]

    assert names("") == ["a.csv", "b.jsonl", "sub/c.parquet"]
    assert names("*.jsonl", "a.csv") == ["b.jsonl", "a.csv"]
    assert names("**/*.parquet") == ["sub/c.parquet"]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (["no.jsonl"], "no.jsonl does not exist"),
        (["*.csv"], "no file matches"),
        (["empty"], "empty is a folder without a file of rows in it"),
        (["notes.txt"], "notes.txt does not tell its format; expected .jsonl"),
        (["a.parquet.gz"], "a.parquet.gz does not tell its format"),
        (["a.jsonl", "*.jsonl"], "a.jsonl is among the inputs twice"),
    ],
)
def test_inputs_that_are_none_are_explained(inputs, problem, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "a.jsonl", "a.parquet.gz"):
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=re.escape(problem)):
        expand([str(tmp_path / name) for name in inputs], "")


def test_folders_named_as_hive_does_are_columns(tmp_path):
    for folder in ("date=2026-11-28/country=C%C3%B4te", "date=2026-11-29/country=__HIVE_DEFAULT_PARTITION__"):
        path = tmp_path / "k=v" / "rows" / folder / "a.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("1\n")
    top = tmp_path / "k=v" / "rows"
    expected = [(("date", "2026-11-28"), ("country", "Côte")), (("date", "2026-11-29"), ("country", None))]
    for path in (top, top / "date=*" / "*" / "a.jsonl", f"{top}/"):
        assert [source.partitions for source in expand([str(path)], "")] == expected
    assert expand([str(top / "date=2026-11-28" / "country=C%C3%B4te" / "a.jsonl")], "")[0].partitions == ()


@pytest.mark.parametrize("other", ["sub/../a.jsonl", "link.jsonl", "hard.jsonl"])
def test_a_file_by_two_names_is_refused(other, tmp_path):
    (tmp_path / "a.jsonl").write_text("1\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match=re.escape("are two names of one file; each row is to be scored once")):
        expand([str(tmp_path / "a.jsonl"), str(tmp_path / other)], "")


@pytest.mark.parametrize(
    ("inputs", "output", "within"),
    [
        (["rows"], "rows/scored", True),
        (["rows"], "rows", True),
        (["rows"], "link/../rows/out.jsonl", True),
        (["link"], "rows/scored", True),
        (["rows/*.jsonl"], "rows/out.jsonl", True),
        (["rows/**/*.parquet"], "rows/a/scored", True),
        (["rows/*.parquet"], "rows/scored", False),
        (["rows"], "rows-scored", False),
        (["rows/a.jsonl"], "rows/out.jsonl", False),
        (["s3://b/rows"], "s3://b/rows/scored", True),
        (["s3://b/rows"], "s3://b/scored", False),
    ],
)
def test_a_result_among_the_inputs_is_refused(inputs, output, within, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    (tmp_path / "link").symlink_to("rows")
    try:
        sources.check_apart(inputs, output, "parquet")
    except UsageError as error:
        assert within
        assert str(error).startswith(f"OUTPUT {output} lies within the input {inputs[0]}")  # noqa: PT017
    else:
        assert not within


def test_formats_can_be_said(tmp_path):
    (tmp_path / "notes.txt").write_text("1\n")
    assert expand([str(tmp_path / "notes.txt")], "csv.gz")[0].format == Format("csv", "gzip")
    with pytest.raises(UsageError, match=re.escape("--input-format is 'parket' (did you mean 'parquet'?)")):
        expand(["-"], "parket")


def test_passwords_in_urls_are_not_shown():
    source = sources.Source("https://me:s3cret@host/rows.jsonl", Format("jsonl"), 1)
    assert source.shown == source.fingerprint()["path"] == "https://host/rows.jsonl"
    assert sources.Source("me@home.jsonl", Format("jsonl"), 1).shown == "me@home.jsonl"


def test_standard_input_is_read_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(jsonl())))
    (source,) = expand([sources.STDIN], "")
    assert source == Source("-", Format("jsonl"), None)
    assert rows(list(read((source,), Position(), 16))) == ALL


# Columns for inputs


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["x", "x_0"], ("x",)),
        (["x_1_1", "x_0_0", "x_0_1", "x_1_0"], ("x_0_0", "x_0_1", "x_1_0", "x_1_1")),
        (["x_1", "id", "x_0", "x_10", "x_2", *(f"x_{i}" for i in range(3, 10))], tuple(f"x_{i}" for i in range(11))),
    ],
)
def test_flat_columns_are_an_input(names, found):
    assert find({"x": ("x",)}, names, "a.csv") == {"x": found}


@pytest.mark.parametrize(
    ("maps", "names", "problem"),
    [
        ([], ["xx", "id"], "a.csv has no column 'x' for the input 'x' (did you mean 'xx'?); it has 'xx', 'id'"),
        ([], ["x_0", "x_2"], "a.csv: there are 2 columns x_N, but not all from x_0 on"),
        (["x=v"], ["w"], "a.csv has no column 'v' for the input 'x'"),
        (["x"], [], "--map is 'x'; expected INPUT=COLUMN"),
        (["z=v"], [], "--map names the input 'z'; the model takes 'x'"),
    ],
)
def test_columns_that_are_missing_are_explained(maps, names, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        find(mapping(maps, X), names, "a.csv")
