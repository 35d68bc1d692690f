"""Where the lines of a log go: to stderr, or to a file that may be moved away (logrotate).

A line is written whole or counted as lost; what a full disk has cut in two is ended before the next one. Several processes
may share a pipe or a file: what is written at once is not mixed with what others write.
"""

import contextlib
import logging
import os
import select
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from signet.serving.errors import UsageError

log = logging.getLogger(__name__)

_AT_ONCE_BYTES = 1 << 16
_LOOK_S = 1.0
"""Seconds between two looks whether the file is still where it was."""
_WAIT_S = 1.0
"""Seconds that a place which takes nothing just now is waited for."""
_NOWHERE = -1


class FdSink:
    """Writes to an open file, which is its own."""

    def __init__(self, fd: int, wait_s: float = _WAIT_S) -> None:
        """fd: `_NOWHERE` for none: all is lost. wait_s: how long a pipe that takes nothing is waited for."""
        self._fd, self._wait_s = fd, wait_s
        self._torn = False
        """Whether the last line was cut off."""
        self._pipe = fd != _NOWHERE and not stat.S_ISREG(os.fstat(fd).st_mode)
        self._most_bytes = select.PIPE_BUF if self._pipe else _AT_ONCE_BYTES

    def write(self, lines: Sequence[bytes]) -> int:
        """As `Sink.write`."""
        return sum(map(self._written, self._pieces(lines)))

    def close(self) -> None:
        """Close the file."""
        if self._fd != _NOWHERE:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = _NOWHERE

    def _pieces(self, lines: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Whole lines that are written at once."""
        piece: list[bytes] = []
        size = 1  # what may end a torn line
        for line in lines:
            if piece and size + len(line) > self._most_bytes:
                yield piece
                piece, size = [], 1
            piece.append(line)
            size += len(line)
        if piece:
            yield piece

    def _written(self, lines: list[bytes]) -> int:
        """Write lines; gives how many are lost."""
        ending = b"\n" if self._torn else b""
        data = b"".join((ending, *lines))
        left = memoryview(data)
        until = time.monotonic() + self._wait_s
        while left:
            try:
                # A pipe that says so takes as many bytes at once; one that does not would keep us for as long as nobody reads.
                if self._pipe and not select.select([], [self._fd], [], max(0.0, until - time.monotonic()))[1]:
                    break
                left = left[os.write(self._fd, left[: self._most_bytes]) :]
            except BlockingIOError:  # others who write to it were faster
                if time.monotonic() >= until:
                    break
            except (OSError, ValueError):  # gone, or beyond what `select` knows
                break
        written = len(data) - len(left)
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        lacks_end_alone = bytes(left[:1]) == b"\n"  # which comes with the next line
        return bytes(left).count(b"\n") - lacks_end_alone


def to_stderr(wait_s: float = _WAIT_S) -> FdSink:
    """A sink of our own at standard error; of a program without one, all is lost. wait_s: as of `FdSink`."""
    try:
        fd = sys.stderr.fileno()
        return FdSink(_not_blocking(fd), wait_s)
    except (AttributeError, OSError, ValueError):  # closed, or replaced by what is no file
        return FdSink(_NOWHERE)


def _not_blocking(fd: int) -> int:
    """The same file, opened once more where the system lets us, so that writing never waits, whatever others do with theirs."""
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return os.dup(fd)
    try:
        return os.open(f"/dev/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # a pipe of another user, as in containers
        return os.dup(fd)


class FileSink:
    """Appends to a file, and opens it anew once it has been moved away or removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = 0.0
        self._failed = False
        self._identity = (0, 0)
        self._sink = FdSink(_NOWHERE)

    def write(self, lines: Sequence[bytes]) -> int:
        """As `Sink.write`."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_S or not self._looked_at:
            self._looked_at = now
            self._follow()
        return self._sink.write(lines)

    def close(self) -> None:
        """Close the file."""
        self._sink.close()

    def _follow(self) -> None:
        try:
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == self._identity:
                return
        except OSError:
            pass  # it is made again
        try:
            fd = opened(self._path)
        except OSError as error:
            if not self._failed:
                log.warning("the access log cannot be opened: %s", error)
            self._failed = True
            return  # the old one, if there is one, is better than none
        self._failed = False
        self._sink.close()
        self._sink = FdSink(fd)
        found = os.fstat(fd)
        self._identity = (found.st_dev, found.st_ino)


def opened(path: Path) -> int:
    """The file, to be appended to, made if it is not there: readable to its owner and group."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def check(path: Path) -> None:
    """Raise `UsageError` for a file that cannot be appended to."""
    try:
        os.close(opened(path))
    except OSError as error:
        raise UsageError(f"--access-log-file (SIGNET_ACCESS_LOG_FILE): {error}") from error
