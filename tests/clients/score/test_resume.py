"""Jobs that are stopped and go on: killed at any moment, with other inputs, models and pipes, twice at a time."""

import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from signet.clients.score.options import ScoreOptions
from signet.clients.score.output import destination, manifest
from signet.clients.score.output.destination import Destination
from signet.clients.score.storage import Local
from signet.serving.errors import UsageError
from tests import servers
from tests.clients.score.conftest import read_rows, run, tree, write_rows

ROWS = 4000


def command(job: ScoreOptions) -> list[str]:
    """The job as a command line."""
    options = {"--url": job.url, "--batch-rows": job.batch_rows, "--part-rows": job.part_rows, "--max-bad": -1}
    arguments = [str(part) for option in options.items() for part in option]
    return [*servers.SIGNET, "score", job.model, *job.inputs, job.output, *arguments]


def result(folder: Path, output: str) -> dict[str, bytes]:
    """Everything that a job has left, without its inputs."""
    return {name: data for name, data in tree(folder).items() if not name.startswith("in.")}


def committed(where: Destination) -> int:
    """Parts that the manifest names."""
    known = manifest.load(where)
    return len(known.parts) if known else 0


LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("output", "kills"),
    [("out.jsonl", 5), pytest.param("out.jsonl", 50, marks=LONG), pytest.param("out", 50, marks=LONG)],
)
def test_a_job_that_is_killed_goes_on_and_gives_the_same_bytes(kills, output, job, tmp_path):
    """SIGKILL at random moments, from the start of the program to its end."""
    source = write_rows(tmp_path / "in.jsonl", ROWS)
    with source.open("a") as file:
        file.write('{"id": -1, "x": [1]}\n')  # a bad one
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = job(output=str(tmp_path / "whole" / output), part_rows=512, batch_rows=16)
    started = time.monotonic()
    done = subprocess.run(command(whole), cwd=servers.ROOT, capture_output=True, text=True, check=True)
    took_s = time.monotonic() - started
    assert "4,000 rows scored" in done.stdout
    expected = result(tmp_path / "whole", output)

    killed = command(replace(whole, output=str(tmp_path / "killed" / output)))
    chance = random.Random(kills)
    died = 0
    while died < kills:
        process = subprocess.Popen(killed, cwd=servers.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(chance.uniform(0, took_s))
        except subprocess.TimeoutExpired:
            process.kill()
        _, problem = process.communicate()
        if process.returncode == -signal.SIGKILL:
            died += 1
            continue
        # It was done before its time had come, perhaps by the one before, which was killed at its very end.
        assert process.returncode == 0 or f"{output} exists" in problem, problem
        assert result(tmp_path / "killed", output) == expected
        shutil.rmtree(tmp_path / "killed")
        (tmp_path / "killed").mkdir()
    # The last kill comes when a part is committed, unless the job was done by then.
    process = subprocess.Popen(killed, cwd=servers.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    where = destination.of(str(tmp_path / "killed" / output), "")
    servers.wait_until(lambda: process.poll() is not None or committed(where), what="a part")
    process.kill()
    was_killed = process.wait() == -signal.SIGKILL
    final = subprocess.run(killed, cwd=servers.ROOT, capture_output=True, text=True, check=False)
    assert final.returncode == 0 or f"{output} exists" in final.stderr, final.stderr
    assert "of them before" in final.stdout or not was_killed
    assert result(tmp_path / "killed", output) == expected


class Stopped(Exception):
    """Stands for a kill."""


def stop_after(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """Let the next job fail when so many parts are in the manifest."""
    save = manifest.save

    def saved(where, known) -> None:
        save(where, known)
        if len(known.parts) == parts:
            raise Stopped

    monkeypatch.setattr(manifest, "save", saved)


def stopped(job: ScoreOptions, monkeypatch: pytest.MonkeyPatch, parts: int = 2) -> ScoreOptions:
    """The job, stopped after some parts."""
    with monkeypatch.context() as patched:
        stop_after(patched, parts)
        with pytest.raises(Stopped):
            run(job)
    return job


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.parquet", "in.jsonl.gz"])
def test_a_stopped_job_asks_for_no_row_twice(name, job, tmp_path, monkeypatch):
    write_rows(tmp_path / "rows.jsonl", 100)
    if name != "in.jsonl":
        run(job(inputs=[str(tmp_path / "rows.jsonl")], output=str(tmp_path / name), model="three_out", carry="id"))
        (tmp_path / name).rename(tmp_path / "other")
    source = tmp_path / name
    _rewrite(tmp_path / "rows.jsonl", source)
    made = stopped(job(inputs=[str(source)], part_rows=16), monkeypatch)
    done = run(made)
    assert (done.rows, done.new_rows) == (100, 68)
    assert tree(tmp_path / "out").keys() == {"_manifest.json", *(f"part-{i:05}.parquet" for i in range(7))}
    again = run(made)
    assert (again.rows, again.new_rows) == (100, 0)


def _rewrite(rows: Path, path: Path) -> None:
    """The rows in the format that the name of the path tells."""
    import gzip

    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    found = read_rows(rows)
    if path.name.endswith(".jsonl"):
        path.write_bytes(rows.read_bytes())
    elif path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(rows.read_bytes()))
    elif path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(found), path)
    else:
        flat = [{"id": row["id"], **{f"x_{k}": value for k, value in enumerate(row["x"])}} for row in found]
        pa_csv.write_csv(pa.Table.from_pylist(flat), path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"batch_rows": 4}, "batch_rows was 8, now it is 4"),
        ({"flat": True}, "flat was False, now it is True"),
        ({"model": "mlp", "maps": ("x=v",)}, "columns was"),
        ({"carry": ""}, "carry was None, now it is []"),
        ({"signature": "serve"}, "signature was 'serving_default', now it is 'serve'"),
    ],
)
def test_a_job_does_not_go_on_in_another_way(change, problem, job, tmp_path, monkeypatch):
    source = write_rows(tmp_path / "in.jsonl", 100)
    if "maps" in change:
        source.write_text("".join(json.dumps({"id": i, "x": [0] * 4, "v": [0] * 16}) + "\n" for i in range(100)))
    made = stopped(job(part_rows=16), monkeypatch)
    before = tree(tmp_path / "out")
    with pytest.raises(UsageError, match=re.escape(f"out holds a job that was begun otherwise: {problem}")):
        run(replace(made, **change))
    assert tree(tmp_path / "out") == before
    assert run(replace(made, overwrite=True, **change)).new_rows == 100


def test_a_job_does_not_go_on_with_changed_inputs(job, tmp_path, monkeypatch):
    source = write_rows(tmp_path / "in.jsonl", 100)
    made = stopped(job(part_rows=16), monkeypatch)
    text = source.read_text()
    source.write_text(text + "[0, 0, 0, 0]\n")
    with pytest.raises(UsageError, match=r"the input .*in\.jsonl had 4\d+ bytes, now it has 4\d+"):
        run(made)
    source.write_text(text.replace("0.5", "0.6"))
    with pytest.raises(UsageError, match=r"the input .*in\.jsonl was changed since"):
        run(made)
    more = write_rows(tmp_path / "in2.jsonl", 1)
    with pytest.raises(UsageError, match=r"the input .*in\.jsonl was changed since|there is a new input"):
        run(replace(made, inputs=[*made.inputs, str(more)]))


def test_a_job_goes_on_with_its_version_while_a_newer_one_is_served(job, changing, tmp_path, monkeypatch):
    write_rows(tmp_path / "in.jsonl", 100)
    whole = job(model="m", url=changing.url, output=str(tmp_path / "whole"), part_rows=16)
    assert run(whole).version == 1
    made = stopped(job(model="m", url=changing.url, part_rows=16), monkeypatch)
    changing.put(2, "three_out")  # version 1 stays: a job asked for it just now
    assert run(made).version == 1
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_job_stops_with_exit_code_3_when_its_version_is_gone(job, changing, tmp_path, monkeypatch):
    write_rows(tmp_path / "in.jsonl", 100)
    made = stopped(job(model="m", url=changing.url, part_rows=16), monkeypatch)
    known = json.loads((tmp_path / "out" / destination.MANIFEST).read_text())
    known["job"]["version"] = 7
    (tmp_path / "out" / destination.MANIFEST).write_text(json.dumps(known))
    done = subprocess.run(
        [*command(made), "--patience-s", "0"], cwd=servers.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "version 7 of 'm', which this job is pinned to, is not served any more; there is 1 now" in done.stderr


def test_another_model_under_the_same_number_is_refused(job, changing, tmp_path, monkeypatch):
    write_rows(tmp_path / "in.jsonl", 100)
    made = stopped(job(model="m", url=changing.url, part_rows=16), monkeypatch)
    known = json.loads((tmp_path / "out" / destination.MANIFEST).read_text())
    known["job"]["digest"] = "0" * 64
    (tmp_path / "out" / destination.MANIFEST).write_text(json.dumps(known))
    with pytest.raises(UsageError, match=f"digest was '{'0' * 64}', now it is '"):
        run(made)


def piped(job: ScoreOptions, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> ScoreOptions:
    """The job, with these lines on standard input."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("".join(texts).encode())))
    return replace(job, inputs=["-"])


def test_a_pipe_goes_on_when_the_same_rows_come(job, tmp_path, monkeypatch):
    texts = write_rows(tmp_path / "rows.jsonl", 100).read_text().splitlines(keepends=True)
    whole = run(piped(job(part_rows=16, output=str(tmp_path / "whole")), texts, monkeypatch))
    assert whole.rows == 100
    made = job(part_rows=16)
    stopped(piped(made, texts, monkeypatch), monkeypatch)
    changed = [*texts[:20], texts[20].replace("0.", "1."), *texts[21:]]
    with pytest.raises(
        UsageError, match="rows 17 to 32 that come through the pipe are not those that this job was begun"
    ):
        run(piped(made, changed, monkeypatch))
    assert run(piped(made, texts, monkeypatch)).new_rows == 68
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def damage(part: Path, shortened: bool = False) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data[:-1] if shortened else data)


@pytest.mark.parametrize("shortened", [True, False])
def test_a_part_that_is_damaged_is_scored_again(shortened, job, tmp_path, monkeypatch):
    write_rows(tmp_path / "in.jsonl", 100)
    run(job(part_rows=16, output=str(tmp_path / "whole")))
    made = stopped(job(part_rows=16), monkeypatch, parts=4)
    damage(tmp_path / "out" / "part-00002.parquet", shortened)
    assert run(made).new_rows == 100 - 2 * 16
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_finished_job_that_was_damaged_is_mended(job, tmp_path):
    source = write_rows(tmp_path / "in.jsonl", 60)
    source.write_text("nonsense\n" + source.read_text() + "nonsense\n")
    made = job(part_rows=16, max_bad=2)
    run(made)
    whole = tree(tmp_path / "out")
    (tmp_path / "out" / "part-00002.parquet").unlink()
    assert run(made).bad == 2
    assert tree(tmp_path / "out") == whole


def test_parts_are_held_against_their_digests_when_asked_for(job, tmp_path, monkeypatch):
    write_rows(tmp_path / "in.jsonl", 60)
    made = job(part_rows=16, verify=True)
    before_last(monkeypatch, lambda: damage(tmp_path / "out" / "part-00000.parquet"))
    with pytest.raises(UsageError, match=r"part-00000\.parquet does not have the SHA-256 with which it was written"):
        run(made)
    monkeypatch.undo()
    assert run(made).new_rows == 60  # the parts after a gap are scored again


def before_last(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Let something happen when the next job has two parts."""
    save = manifest.save

    def saved(where, known) -> None:
        save(where, known)
        if len(known.parts) == 2:
            act()

    monkeypatch.setattr(manifest, "save", saved)


@pytest.mark.parametrize("change", ["in place", "in place at the same time", "appended", "gone"])
def test_an_input_that_changes_while_it_is_read_is_noticed(change, job, tmp_path, monkeypatch):
    source = write_rows(tmp_path / "in.jsonl", 100)
    text, times = source.read_text(), source.stat()

    def act() -> None:
        if change == "gone":
            source.unlink()
            return
        source.write_text(text + '{"x": [1, 2, 3, 4]}\n' if change == "appended" else text.replace("0.", "1."))
        if "same time" in change:
            os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))

    before_last(monkeypatch, act)
    with pytest.raises(UsageError, match=r"the input .*in\.jsonl was changed while it was read: ") as caught:
        run(job(part_rows=16, output=str(tmp_path / "out.jsonl")))
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_job_that_was_killed_before_its_first_manifest_begins(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 10)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "._manifest.json.writing-00000000").write_text("{")
    assert run(job()).rows == 10
    assert sorted(tree(tmp_path / "out")) == ["_manifest.json", "part-00000.parquet"]


def test_a_job_without_bad_rows_leaves_none_of_an_earlier_one(job, tmp_path):
    source = write_rows(tmp_path / "in.jsonl", 10)
    made = job(output=str(tmp_path / "out.jsonl"), max_bad=1, overwrite=True)
    rows = source.read_text()
    source.write_text(rows + "nonsense\n")
    assert Path(run(made).letters).exists()
    source.write_text(rows)
    assert not Path(run(made).letters).exists()


def test_a_manifest_of_something_else_is_left_alone(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 1)
    (tmp_path / "out").mkdir()
    for text in ("{}", "[]", "no", '{"layout": 2}'):
        (tmp_path / "out" / destination.MANIFEST).write_text(text)
        with pytest.raises(UsageError, match=r"_manifest\.json is no manifest of a scoring job: "):
            run(job())
        assert (tmp_path / "out" / destination.MANIFEST).read_text() == text


@pytest.mark.parametrize("after", range(4))
def test_a_job_that_is_killed_while_it_clears_up_leaves_nothing(after, job, tmp_path, monkeypatch):
    """The result is there, and some of its parts are not any more."""
    write_rows(tmp_path / "in.jsonl", 40)
    made = job(part_rows=16, output=str(tmp_path / "out.jsonl"))
    removed = iter(range(after))
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".jsonl" and path.name.startswith("part-") and next(removed, None) is None:
            raise Stopped
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        patched.setattr("shutil.rmtree", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            run(made)
    whole = (tmp_path / "out.jsonl").read_bytes()
    assert len(tree(tmp_path / ".out.jsonl.parts")) == 1 + 3 - after
    assert run(made).rows == 40
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_two_runs_do_not_score_into_one_folder(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 100)
    run(job())
    with Local().locked(str(tmp_path / "out")), pytest.raises(UsageError, match="another run is scoring into"):
        run(job(overwrite=True))


def test_what_a_killed_run_was_writing_is_removed(job, tmp_path, monkeypatch):
    write_rows(tmp_path / "in.jsonl", 100)
    made = stopped(job(part_rows=16), monkeypatch)
    (tmp_path / "out" / ".part-00002.parquet.writing-00000000").write_bytes(b"half")
    run(made)
    assert not [name for name in tree(tmp_path / "out") if "writing" in name]


def test_ctrl_c_keeps_what_was_scored(job, tmp_path):
    os.mkfifo(tmp_path / "in.jsonl")
    made = job(output=str(tmp_path / "out"), part_rows=16)
    with servers.program(*command(made)[len(servers.SIGNET) :]) as running, (tmp_path / "in.jsonl").open("w") as pipe:
        pipe.writelines("[1, 2, 3, 4]\n" for _ in range(2000))
        pipe.flush()
        goal = destination.of(made.output, "")
        servers.wait_until(lambda: committed(goal), what="a part")
        assert running.stop(signal.SIGINT) == 130
    assert "Traceback" not in running.output
    assert "part-00000.parquet" in tree(tmp_path / "out")
