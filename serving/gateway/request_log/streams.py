"""Streams: where rows lie until they are a Parquet file. What was appended survives the process that did it.

    .spool/NAME.arrows    an Arrow stream, locked by its writer; unlocked: it is whole, or its writer was killed
    .spool/NAME.arrows.parquet    what is being made of it

A Parquet file cannot be read before its end has been written; of a stream all batches can that are there as a whole.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

ENDING = ".arrows"
FOLDER = ".spool"
_NEW = ".new-"


class Stream:
    """A stream that is appended to, by one thread."""

    def __init__(self, folder: Path, place: str, schema: Any, opened_s: float) -> None:
        """place: of the Parquet file below its folder. opened_s: by whichever clock. Raises `OSError`."""
        self.schema, self.opened_s, self.rows = schema, opened_s, 0
        self.path = folder / (quote(place, safe="") + ENDING)
        new = folder / (_NEW + self.path.name)
        self._lock = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            new.rename(self.path)  # nobody sees it unlocked
            self._file = pa.OSFile(str(self.path), "wb")
            self._writer = pa.ipc.new_stream(self._file, schema)
        except BaseException:
            self._unlock()
            raise

    @property
    def nbytes(self) -> int:
        return int(self._file.tell())

    def append(self, batch: Any) -> None:
        """Write a RecordBatch, so that it is the operating system's. Raises `OSError`."""
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Leave the stream to whoever makes a file of it."""
        with suppress(OSError, pa.ArrowException):  # its end mark may be missing
            self._writer.close()
        with suppress(OSError, pa.ArrowException):
            self._file.close()
        self._unlock()

    def _unlock(self) -> None:
        with suppress(OSError):  # a child may have the descriptor, too
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.close(self._lock)


def waiting(folder: Path) -> list[Path]:
    """The streams in a folder, the oldest first: by the time in their names, and by their number."""
    return sorted(folder.glob(f"*{ENDING}"), key=lambda path: place_of(path).rsplit("-", 3)[1:])


def place_of(path: Path) -> str:
    """Where the Parquet file of a stream goes, below its folder."""
    return unquote(path.name.removesuffix(ENDING))


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """A block in which the stream is this one's; False where somebody else writes it or makes a file of it."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path.exists()
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def batches(path: Path) -> Iterator[Any]:
    """The batches of a stream that are there as a whole: its writer may have been killed. Raises `OSError`."""
    with pa.OSFile(str(path), "rb") as file:
        try:
            stream = pa.ipc.open_stream(file)
            while True:
                batch = stream.read_next_batch()
                batch.validate()
                yield batch
        except (StopIteration, pa.ArrowException):
            return
        except OSError as error:
            if error.errno is not None:  # pyarrow's own for a batch that is cut off has none
                raise
