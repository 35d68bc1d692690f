"""Lines are written in their order or counted as dropped, whatever their destination does and whenever it ends."""

import os
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.process import line_sinks
from signet.serving.process.line_sinks import FdSink, FileSink
from signet.serving.process.line_writer import LineWriter
from signet.serving.process.supervision import Failures


class Sink:
    """Takes lines when it may, and loses every so many."""

    def __init__(self, gate: threading.Event, loses_each: int = 0) -> None:
        self.lines: list[bytes] = []
        self.seen = 0
        self.closed = False
        self._gate, self._loses_each = gate, loses_each

    def write(self, lines: Sequence[bytes]) -> int:
        self._gate.wait()
        lost = 0
        for line in lines:
            self.seen += 1
            if self._loses_each and self.seen % self._loses_each == 0:
                lost += 1
            else:
                self.lines.append(line)
        return lost

    def close(self) -> None:
        self.closed = True


steps = st.lists(st.one_of(st.integers(1, 40), st.sampled_from(["open", "shut"])), max_size=12)


@given(steps, st.integers(1, 64), st.integers(0, 5))
def test_what_is_put_is_written_in_order_or_counted(steps, most, loses_each):
    gate = threading.Event()
    sink = Sink(gate, loses_each)
    writer: LineWriter[int] = LineWriter(lambda: sink, lambda n: b"%d\n" % n, Failures(), most, gather_s=0.0)
    put = 0
    for step in steps:
        if step == "open":
            gate.set()
        elif step == "shut":
            gate.clear()
        else:
            for _ in range(step):
                writer.put(put)
                put += 1
    gate.set()
    writer.close()
    assert len(sink.lines) + writer.full + writer.lost == put
    numbers = [int(line) for line in sink.lines]
    assert numbers == sorted(set(numbers))
    assert sink.closed or not sink.seen
    writer.put(put)
    assert writer.full >= 1


def test_a_destination_that_hangs_holds_up_nobody_for_longer_than_is_said():
    gate = threading.Event()
    sink = Sink(gate)
    writer: LineWriter[int] = LineWriter(lambda: sink, lambda n: b"%d\n" % n, Failures(), 8, gather_s=0.0)
    for number in range(200):
        writer.put(number)
    writer.close(timeout_s=0.05)
    assert not sink.closed
    assert writer.full >= 200 - 8 - 64
    gate.set()


def test_without_a_line_there_is_neither_thread_nor_destination():
    opened = []
    before = threading.active_count()
    writer: LineWriter[int] = LineWriter(lambda: opened.append(1), lambda n: b"", Failures())  # type: ignore[arg-type, return-value]
    writer.close()
    assert (opened, threading.active_count()) == ([], before)


def test_a_fault_in_one_line_is_counted_and_the_next_are_written():
    failures = Failures()
    gate = threading.Event()
    gate.set()
    sink = Sink(gate)

    def render(number: int) -> bytes:
        if number == 0:
            raise RuntimeError("a bug")
        return b"%d\n" % number

    writer: LineWriter[int] = LineWriter(lambda: sink, render, failures, gather_s=0.0)
    writer.put(0)
    while not failures.counts()["access-log"]:
        pass
    writer.put(1)
    writer.close()
    assert (sink.lines, writer.lost) == ([b"1\n"], 1)


@given(st.lists(st.integers(0, 30), max_size=30), st.data())
def test_a_line_is_written_whole_or_counted(sizes, data):
    """The file takes part of what is written, or nothing, as on a disk that is full for a while."""
    lines = [b"%d:%b.\n" % (number, b"x" * size) for number, size in enumerate(sizes)]
    written = bytearray()

    def write(_: int, view: memoryview) -> int:
        taken = data.draw(st.integers(-1, len(view)))
        if taken < 0:
            raise OSError(28, "No space left on device")
        if taken == 0:
            raise BrokenPipeError
        written.extend(view[:taken])
        return taken

    reading, writing = os.pipe()
    sink = FdSink(writing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_sinks.os, "write", write)
        lost = sum(sink.write([line]) for line in lines[:10]) + sink.write(lines[10:])
    sink.close()
    os.close(reading)
    complete = [line for line in bytes(written).split(b"\n") if line + b"\n" in lines]
    assert len(complete) + lost == len(lines)
    assert complete == sorted(complete, key=lambda line: int(line.partition(b":")[0]))


def test_a_pipe_gets_as_much_at_once_as_is_not_mixed_with_what_others_write(monkeypatch):
    sizes = []
    reading, writing = os.pipe()
    sink = FdSink(writing)
    monkeypatch.setattr(line_sinks.os, "write", lambda _, view: sizes.append(len(view)) or len(view))
    assert sink.write([b"x" * 999 + b"\n"] * 20) == 0
    assert max(sizes) <= 4096
    assert sum(sizes) == 20_000
    os.close(reading)


def test_a_reader_who_has_gone_costs_lines_and_nothing_else():
    reading, writing = os.pipe()
    os.close(reading)
    sink = FdSink(writing)
    assert sink.write([b"a\n", b"b\n"]) == 2
    assert FdSink(-1).write([b"a\n"]) == 1


def test_a_file_that_was_moved_away_is_made_anew(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(line_sinks.time, "monotonic", lambda: now[0])
    path = tmp_path / "access.log"
    sink = FileSink(path)
    assert sink.write([b"1\n"]) == 0
    path.rename(tmp_path / "access.log.1")
    sink.write([b"2\n"])
    now[0] += 2
    sink.write([b"3\n"])
    path.unlink()
    now[0] += 2
    sink.write([b"4\n"])
    sink.close()
    assert (tmp_path / "access.log.1").read_bytes() == b"1\n2\n"
    assert path.read_bytes() == b"4\n"
    assert path.stat().st_mode & 0o777 & 0o007 == 0


def test_a_file_whose_folder_is_gone_is_told_of_once_and_comes_back(tmp_path, monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(line_sinks.time, "monotonic", lambda: now[0])
    folder = tmp_path / "logs"
    sink = FileSink(folder / "access.log")
    for _ in range(3):
        assert sink.write([b"1\n"]) == 1
        now[0] += 2
    folder.mkdir()
    assert sink.write([b"2\n"]) == 0
    assert (folder / "access.log").read_bytes() == b"2\n"
    assert caplog.text.count("cannot be opened") == 1
    with pytest.raises(UsageError, match=r"--access-log-file \(SIGNET_ACCESS_LOG_FILE\): .*nowhere"):
        line_sinks.check(tmp_path / "nowhere" / "access.log")
