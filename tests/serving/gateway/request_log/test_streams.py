"""Streams and the files made of them: cut off anywhere, shipped by whom it may be, dropped within bounds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from prometheus_client import CollectorRegistry

from signet.serving.gateway.observability.request_log_counts import LogCounts
from signet.serving.gateway.request_log import streams, tables
from signet.serving.gateway.request_log.destination import Bucket, Folder
from signet.serving.gateway.request_log.shipping import Shipping, to_parquet
from signet.serving.gateway.request_log.streams import Stream
from signet.serving.gateway.request_log.writing import Writing
from tests.serving.gateway.request_log.made import a_plan, record, signature

MADE = signature({"x": ("float", (None, 2))}, {"y": ("float", (None,))})


def a_record(number=0, rows=1, plan=None):
    x = np.full((rows, 2), number, np.float32)
    return record(plan or a_plan(MADE), {"x": x}, {"y": x[:, 0]}, rows, number)


def counts():
    return LogCounts(CollectorRegistry())


def dropped(counted, reason):
    return counted.dropped.labels(reason)._value.get()


def a_writer(spool, counted=None, file_bytes=1 << 20, file_s=60.0, clock=time.monotonic):
    spool.mkdir(parents=True, exist_ok=True)
    return Writing(spool, file_bytes, file_s, counted or counts(), lambda: None, clock)


def files(folder):
    return sorted(folder.rglob("*.parquet"))


def numbers(folder):
    """The numbers of all records in the files of a folder."""
    return sorted(int(row["x"][0]) for path in files(folder) for row in pq.read_table(path).to_pylist())


def test_a_stream_cut_off_at_any_byte_gives_its_whole_batches(tmp_path):
    batch = tables.batch([a_record(rows=2)], frozenset())
    stream = Stream(tmp_path, "m/3/x.parquet", batch.schema, 0.0)
    ends = []
    for _ in range(3):
        stream.append(batch)
        ends.append(stream.nbytes)
    stream.close()
    content = stream.path.read_bytes()
    cut = tmp_path / "cut"
    for length in sorted({*range(0, len(content), 41), *(end + more for end in ends for more in (-1, 0, 1))}):
        cut.write_bytes(content[:length])
        assert sum(part.num_rows for part in streams.batches(cut)) == 2 * sum(end <= length for end in ends)


def test_files_end_by_size_and_by_age_and_hold_each_row_once(tmp_path):
    now = [0.0]
    spool = tmp_path / streams.FOLDER
    counted = counts()
    writer = a_writer(spool, counted, file_bytes=20_000, file_s=10, clock=lambda: now[0])
    shipping = Shipping(spool, Folder(tmp_path, 1 << 30), 1 << 30, counted)
    plan = a_plan(MADE)
    for number in range(60):
        writer.write([[a_record(number, plan=plan)]])
        shipping.step()
    by_size = len(files(tmp_path))
    assert by_size > 1
    now[0] = 11
    writer.write([])
    shipping.step()
    assert len(files(tmp_path)) == by_size + 1
    assert numbers(tmp_path) == list(range(60))
    assert counted.rows._value.get() == 60
    assert counted.bytes._value.get() == sum(path.stat().st_size for path in files(tmp_path))
    assert not list(spool.iterdir())


def test_a_stream_that_is_written_is_nobody_elses(tmp_path):
    batch = tables.batch([a_record()], frozenset())
    stream = Stream(tmp_path, "m/3/x.parquet", batch.schema, 0.0)
    with streams.claimed(stream.path) as ours:
        assert not ours
    stream.close()
    with streams.claimed(stream.path) as ours, streams.claimed(stream.path) as another:
        assert (ours, another) == (True, False)


def test_a_file_that_was_made_before_a_kill_is_made_again_under_its_name(tmp_path):
    spool = tmp_path / streams.FOLDER
    writer = a_writer(spool)
    writer.write([[a_record(1)]])
    writer.close()
    (stream,) = streams.waiting(spool)
    content = stream.read_bytes()
    Shipping(spool, Folder(tmp_path, 1 << 30), 1 << 30, counts()).step()
    stream.write_bytes(content)  # as if it had been killed before it removed the stream
    Shipping(spool, Folder(tmp_path, 1 << 30), 1 << 30, counts()).step()
    assert numbers(tmp_path) == [1]


def test_texts_that_are_none_become_bytes_in_a_file_of_their_own(tmp_path):
    made = signature({"t": ("string", (None,))}, {})
    plan = a_plan(made)
    spool = tmp_path / streams.FOLDER
    writer = a_writer(spool)
    for value in (b"text", b"\xff", b"more"):
        writer.write([[record(plan, {"t": np.array([value], object)}, {}, 1)]])
    writer.close()
    Shipping(spool, Folder(tmp_path, 1 << 30), 1 << 30, counts()).step()
    assert [pq.read_table(path)["t"].to_pylist() for path in files(tmp_path)] == [["text"], [b"\xff", b"more"]]


def test_the_oldest_files_go_and_nobody_elses(tmp_path):
    spool = tmp_path / streams.FOLDER
    (tmp_path / "mine.parquet").write_bytes(b"x" * 100_000)
    writer = a_writer(spool, file_bytes=1)
    for number in range(4):
        writer.write([[a_record(number)]])
        Shipping(spool, Folder(tmp_path, 1 << 30), 1 << 30, counts()).step()
    *_, newest = sizes = [path.stat().st_size for path in files(tmp_path) if path.name != "mine.parquet"]
    assert len(sizes) == 4
    Folder(tmp_path, newest * 2).trim()
    (tmp_path / "mine.parquet").unlink()
    assert numbers(tmp_path) == [2, 3]


def test_a_store_gets_whole_files_by_their_names(tmp_path):
    writer = a_writer(tmp_path)
    writer.write([[a_record(7)]])
    writer.close()
    bucket = Bucket("memory://requests/of")
    Shipping(tmp_path, bucket, 1 << 30, counts()).step()
    (name,) = bucket._files.find("/requests")
    assert name.startswith("/requests/of/m/3/serving_default-")
    with bucket._files.open(name) as file:
        assert pq.read_table(file)["x"].to_pylist() == [[7, 7]]
    assert not list(tmp_path.iterdir())


class Away:
    """A store that is away."""

    def put(self, local: Path, place: str) -> None:
        raise OSError("no route to the store")

    def trim(self) -> None:
        raise AssertionError("nothing was put")


def test_what_waits_for_a_store_is_bounded_counted_and_told_once(tmp_path, caplog):
    counted = counts()
    writer = a_writer(tmp_path, counted, file_bytes=1)
    plan = a_plan(MADE)
    for number in range(5):
        writer.write([[a_record(number, plan=plan)]])
    size = streams.waiting(tmp_path)[0].stat().st_size
    shipping = Shipping(tmp_path, Away(), size * 2, counted)
    assert [shipping.step() for _ in range(3)] == [1, 2, 4]
    assert len(streams.waiting(tmp_path)) == 2
    assert dropped(counted, "store") == 3
    assert len(caplog.messages) == 1
    assert "no route to the store" in caplog.messages[0]
    Shipping(tmp_path, Folder(tmp_path / "there", 1 << 30), size, counted).step()
    assert numbers(tmp_path / "there") == [3, 4]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_that_is_full_costs_rows_and_nothing_else(tmp_path, monkeypatch, caplog):
    counted = counts()
    writer = a_writer(tmp_path, counted)
    plan = a_plan(MADE)
    opened = []

    class Full(Stream):
        def __init__(self, folder, place, schema, opened_s):
            super().__init__(folder, place, schema, opened_s)
            if not opened:
                full = os.open("/dev/full", os.O_WRONLY)
                os.dup2(full, self._file.fileno())
                os.close(full)
            opened.append(self)

    monkeypatch.setattr("signet.serving.gateway.request_log.writing.Stream", Full)
    for number in range(3):
        writer.write([[a_record(number, plan=plan)]])
    writer.close()
    assert dropped(counted, "disk") == 1
    assert any("cannot write" in message for message in caplog.messages)
    made = tmp_path / "made.parquet"
    rows = [to_parquet(path, made) for path in streams.waiting(tmp_path)]
    assert sum(rows) == 2


_WRITER = """
import sys, time
from pathlib import Path
from tests.serving.gateway.request_log import test_streams as made
writer = made.a_writer(Path(sys.argv[1]) / ".spool", file_bytes=30_000)
plan = made.a_plan(made.MADE)
for number in range(10**6):
    writer.write([[made.a_record(number, plan=plan)]])
    print(number, flush=True)
"""


def test_what_a_killed_process_had_written_is_in_files_once(tmp_path):
    """All rows that it had said were written are there."""
    said = []
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", _WRITER, tmp_path]
    (tmp_path / streams.FOLDER).mkdir()
    shipping = Shipping(tmp_path / streams.FOLDER, Folder(tmp_path, 1 << 30), 1 << 30, counts())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            said.append(int(line))
            if len(said) == 150:
                break
        shipping.step()  # while it writes
        process.send_signal(signal.SIGKILL)
        said += [int(line) for line in process.stdout if line.endswith("\n")]
    shipping.step()
    found = numbers(tmp_path)
    assert len(found) == len(set(found))
    assert set(said) <= set(found)
    assert len(found) <= len(said) + 1  # it may have been killed before it said so
    assert not list((tmp_path / streams.FOLDER).glob("*"))
