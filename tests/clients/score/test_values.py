"""Values that formats disagree about: exact in the result, a dead letter, or a sentence; and dead letters sent again."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signet.serving.errors import SignetError
from signet.serving.models import tfrecords
from signet.serving.tensors.protos import example_pb2
from tests.clients.score.conftest import read_rows, run

BIG = 123456789012345678901234567890
OUTPUTS = ["out.jsonl", "out.csv", "out.parquet", "out.arrow", "out.tfrecord"]


def written(
    job: Any, tmp_path: Path, output: str, *rows: dict[str, Any], **options: Any
) -> tuple[list[Any], list[str]]:
    """The column `v` of the result as its cells hold it, and the reasons of the dead letters."""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"x": [1, 2, 3, 4], **row}) + "\n" for row in rows))
    done = run(job(output=str(tmp_path / output), **{"max_bad": 5, **options}))
    letters = [letter["reason"] for letter in read_rows(Path(done.letters))] if done.bad else []
    data = (tmp_path / output).read_bytes()
    if output.endswith("jsonl"):
        return [row.get("v") for row in read_rows(tmp_path / output)], letters
    if output.endswith("csv"):
        return [row["v"] for row in csv.DictReader(io.StringIO(data.decode()))], letters
    if output.endswith("parquet"):
        return pq.read_table(pa.BufferReader(data))["v"].to_pylist(), letters
    if output.endswith("arrow"):
        return pa.ipc.open_file(data).read_all()["v"].to_pylist(), letters
    examples = map(example_pb2.Example.FromString, tfrecords.read(io.BytesIO(data)))
    features = [example.features.feature["v"] for example in examples]
    return [list(getattr(feature, feature.WhichOneof("kind")).value) for feature in features], letters


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**64, BIG])
def test_whole_numbers_are_exact_or_refused(output, number, job, tmp_path):
    try:
        (found, other), letters = written(job, tmp_path, output, {"v": number}, {"v": 1})
    except SignetError as error:
        assert output != "out.jsonl"
        assert number >= 2**63
        assert "'v'" in str(error)  # noqa: PT017
        return
    assert letters == []
    assert str(found).strip("[]") == str(number)
    assert str(other).strip("[]") == "1"


@pytest.mark.parametrize("output", OUTPUTS[1:])
def test_a_later_number_that_does_not_fit_is_a_dead_letter(output, job, tmp_path):
    rows = [{"v": 1}] * 1100 + [{"v": BIG}]
    found, letters = written(job, tmp_path, output, *rows, batch_rows=512)
    assert len(found) == 1100
    assert "its key 'v' is not int64, as in the first rows" in letters[0]


@pytest.mark.parametrize("output", OUTPUTS)
def test_half_a_surrogate_pair_is_a_dead_letter_where_it_cannot_be_written(output, job, tmp_path):
    found, letters = written(job, tmp_path, output, {"v": "ok"}, {"v": "\ud83d"})
    assert len(found) + len(letters) == 2
    assert bool(letters) == (output != "out.jsonl")
    assert found[0] in ("ok", [b"ok"])


@pytest.mark.parametrize(
    ("output", "rows", "expected"),
    [
        ("out.csv", [{"v": {}}, {"v": {"a": BIG}}], ["{}", f'{{"a": {BIG}}}']),
        ("out.csv", [{"v": [1, None]}, {"v": "a"}], ["[1, null]", '"a"']),
        ("out.arrow", [{"v": {"a": 1}}, {"v": None}], [{"a": 1}, None]),
        ("out.jsonl", [{"v": {}}, {"v": [{}]}], [{}, [{}]]),
        ("out.parquet", [{"v": {}}], "the key 'v' holds empty objects, for which Parquet has no column"),
        ("out.parquet", [{"v": [{"a": {}}]}], "the key 'v' holds empty objects, for which Parquet has no column"),
        ("out.tfrecord", [{"v": {"a": 1}}], "'v' is struct<a: int64>, which a tf.Example cannot hold"),
        ("out.parquet", [{"v": 1}, {"v": "a"}], "the key 'v' of the first rows has no one type"),
    ],
)
def test_objects_are_values_or_a_sentence(output, rows, expected, job, tmp_path):
    if isinstance(expected, str):
        with pytest.raises(SignetError, match=re.escape(expected)):
            written(job, tmp_path, output, *rows)
    else:
        assert written(job, tmp_path, output, *rows) == (expected, [])


def test_a_key_within_an_object_is_not_left_out(job, tmp_path):
    rows = [{"v": {"a": 1}}] * 1100 + [{"v": {"a": 1, "b": 2}}]
    found, letters = written(job, tmp_path, "out.parquet", *rows, batch_rows=512)
    assert len(found) == 1100
    assert "it has a key 'b' there" in letters[0]


def test_flat_keys_are_an_input(job, tmp_path):
    texts = [{"id": i, **{f"x_{k}": i + k for k in range(4)}} for i in range(3)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    assert run(job(output=str(tmp_path / "out.jsonl"))).rows == 3
    assert [list(row) for row in read_rows(tmp_path / "out.jsonl")] == [["id", "p", "q", "r"]] * 3


def test_partitions_are_carried_into_every_format(job, tmp_path):
    for i, day in enumerate(("2026-11-28", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / "rows" / f"date={day}"
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text('{"x": [1, 2, 3, 4]}\n' * (i + 1))
        pq.write_table(pa.table({"x": [[1.0, 2.0, 3.0, 4.0]]}), folder / "b.parquet")
    made = job(inputs=[str(tmp_path / "rows")], output=str(tmp_path / "out.jsonl"))
    run(made)
    assert [row["date"] for row in read_rows(tmp_path / "out.jsonl")] == ["2026-11-28"] * 2 + [None] * 3
    run(replace(made, inputs=[str(tmp_path / "rows" / "*" / "*.parquet")], output=str(tmp_path / "out.parquet")))
    assert pq.read_table(tmp_path / "out.parquet")["date"].to_pylist() == ["2026-11-28", None]


# Dead letters


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.tsv", "in.parquet", "in.tfrecord"])
def test_dead_letters_that_are_mended_complete_the_result(name, job, tmp_path):
    """Every third row is bad; mended and sent again, the two results together are that of good rows."""
    good = [{"id": i, "x": [i, 1.5, 2, 3]} for i in range(9)]
    bad = [{**row, "x": row["x"][: 3 if row["id"] % 3 == 1 else 4]} for row in good]
    put(tmp_path / "good" / name, good)
    put(tmp_path / "bad" / name, bad)
    made = job(output=str(tmp_path / "whole.jsonl"), inputs=[str(tmp_path / "good" / name)])
    run(made)
    done = run(replace(made, inputs=[str(tmp_path / "bad" / name)], output=str(tmp_path / "first.jsonl"), max_bad=3))
    assert (done.rows, done.bad) == (6, 3)

    rows = [letter["row"] for letter in read_rows(Path(done.letters))]
    mended = tmp_path / ("mended" + (Path(name).suffix if name.endswith("sv") else ".jsonl"))
    if name.endswith("sv"):  # the text of each record
        header = (tmp_path / "bad" / name).read_text().splitlines()[0]
        delimiter = "\t" if name == "in.tsv" else ","
        mended.write_text("\n".join([header, *(f"{row}{delimiter}3" for row in rows)]))
    else:
        mended.write_text("".join(json.dumps({**row, "x": [*row["x"], 3]}) + "\n" for row in rows))
    assert run(replace(made, inputs=[str(mended)], output=str(tmp_path / "second.jsonl"))).rows == 3
    both = read_rows(tmp_path / "first.jsonl") + read_rows(tmp_path / "second.jsonl")
    both.sort(key=lambda row: int(_one(row["id"])))
    whole = read_rows(tmp_path / "whole.jsonl")
    assert [_one(row["id"]) for row in both] == [_one(row["id"]) for row in whole]
    for found, wanted in zip(both, whole, strict=True):  # the last digits hang on how many rows share a request
        assert found == {"id": found["id"], **{name: pytest.approx(wanted[name], rel=1e-4) for name in "pqr"}}


def put(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir()
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"id": [r["id"] for r in rows], "x": [list(map(float, r["x"])) for r in rows]}), path)
    elif path.suffix == ".tfrecord":
        with path.open("wb") as out:
            for row in rows:
                example = example_pb2.Example()
                example.features.feature["id"].int64_list.value.append(row["id"])
                example.features.feature["x"].float_list.value.extend(row["x"])
                tfrecords.write(out, example.SerializeToString())
    else:
        with path.open("w", newline="") as out:
            writer = csv.writer(out, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(["id", *(f"x_{i}" for i in range(4))])
            writer.writerows([[row["id"], *row["x"]] for row in rows])


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def test_a_record_that_is_no_example_is_kept_as_it_came(job, tmp_path):
    put(tmp_path / "in" / "a.tfrecord", [{"id": 1, "x": [1, 2, 3, 4]}])
    with (tmp_path / "in" / "a.tfrecord").open("ab") as out:
        tfrecords.write(out, b"\xff\xff")
    done = run(job(inputs=[str(tmp_path / "in")], output=str(tmp_path / "out.jsonl"), max_bad=1))
    assert read_rows(Path(done.letters))[0]["row"] == {"b64": "//8="}
