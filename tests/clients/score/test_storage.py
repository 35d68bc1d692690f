"""Files anywhere: local paths, URLs of fsspec; a job between two of its stores."""

import json
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from signet.clients.score import storage
from signet.clients.score.input import sources
from signet.clients.score.storage import Local, Remote
from signet.serving.errors import UsageError
from tests.clients.score.conftest import read_rows, run, write_rows
from tests.clients.score.test_resume import stopped


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """A store in this process's memory."""
    files = fsspec.filesystem("memory")
    yield f"memory://{tmp_path.name}"
    if files.exists(f"/{tmp_path.name}"):
        files.rm(f"/{tmp_path.name}", recursive=True)


@pytest.mark.parametrize("kind", [Local, Remote])
def test_a_file_appears_whole_or_not_at_all(kind, tmp_path, bucket):
    top = str(tmp_path) if kind is Local else bucket
    files = storage.of(f"{top}/x")
    assert isinstance(files, kind)
    files.make_folder(f"{top}/folder")
    with files.written(f"{top}/folder/a") as local:
        local.write_bytes(b"1")
        assert files.info(f"{top}/folder/a") is None
    with pytest.raises(FileNotFoundError), files.written(f"{top}/folder/a") as local:
        (local / "no folder").write_bytes(b"22")
    with files.open(f"{top}/folder/a") as file:
        assert file.read() == b"1"
    assert files.info(f"{top}/folder/a").size_bytes == 1
    assert files.names(f"{top}/folder") == ["a"]
    files.remove(f"{top}/folder")
    files.remove(f"{top}/folder")
    assert files.info(f"{top}/folder") is None
    assert files.names(f"{top}/folder") == []


@pytest.mark.parametrize("output", ["out", "out.jsonl", "out.parquet"])
def test_a_job_reads_from_a_url_and_writes_to_one(output, job, bucket, tmp_path, monkeypatch):
    files = fsspec.filesystem("memory")
    write_rows(tmp_path / "in.jsonl", 100)
    run(job(output=str(tmp_path / output), part_rows=16))
    for number, name in enumerate(("in/a.jsonl", "in/_hidden.jsonl", "in/b.jsonl")):
        lines = (tmp_path / "in.jsonl").read_text().splitlines(keepends=True)
        files.pipe(f"{bucket}/{name}", "".join(lines[:64] if number == 0 else lines[64:]).encode())
    made = job(inputs=[f"{bucket}/in"], output=f"{bucket}/{output}", part_rows=16)
    done = run(stopped(made, monkeypatch))
    assert (done.rows, done.new_rows) == (100, 68)
    for path in [tmp_path / output] if "." in output else (tmp_path / output).glob("part-*"):
        assert files.cat(f"{bucket}/{path.relative_to(tmp_path)}") == path.read_bytes()
    assert not [name for name in files.ls(bucket, detail=False) if name.endswith(".parts")]
    files.pipe(f"{bucket}/in/a.jsonl", b"[0, 0, 0, 0]\n")
    if output == "out":
        with pytest.raises(UsageError, match=r"the input .*a\.jsonl had"):
            run(made)


def test_patterns_and_parquet_at_urls(job, bucket, tmp_path):
    files = fsspec.filesystem("memory")
    write_rows(tmp_path / "in.jsonl", 20)
    run(job(output=f"{bucket}/first.parquet", model="three_out", carry="id"))
    found = sources.expand([f"{bucket}/*.parquet"], "")
    assert [source.path for source in found] == [f"memory:///{bucket.split('//')[1]}/first.parquet"]
    again = job(model="mixed", inputs=[found[0].path], maps=("x=r",), carry="id", output=str(tmp_path / "second.jsonl"))
    assert run(again).rows == 20
    assert [row["id"] for row in read_rows(tmp_path / "second.jsonl")] == list(range(20))
    assert files.exists(f"{bucket}/first.parquet")


def test_urls_that_are_none_are_explained(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 1)
    with pytest.raises(UsageError, match="nonsense://x/out cannot be reached: "):
        run(replace(job(), output="nonsense://x/out"))
    with pytest.raises(UsageError, match=r"memory://no/such\.jsonl does not exist"):
        run(job(inputs=["memory://no/such.jsonl"]))


def test_manifests_are_for_people_to_read(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 10)
    run(job())
    known = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert known["complete"] is True
    assert known["job"]["model"] == "three_out"
    assert known["parts"]["0"]["rows"] == 10
