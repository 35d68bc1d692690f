"""Numbers that the children of a service tell their parent without a message: memory that they share.

    child 0 ──▶ │ connections closed, by kind │ when its event loop turned last │
    child 1 ──▶ │ …                                                             │ ◀── read by the parent

Each row has one writer, its child; before that one starts the parent clears it. A number is written in one piece, so that
no lock is needed. Messages would wake the parent for every connection that ends.
"""

import mmap
import os
import tempfile
import time

KINDS = 2
"""Kinds of connections that are counted."""

_ROW_BYTES = 64
"""One cache line, so that no child slows another one down."""


class Board:
    """The rows of all children."""

    def __init__(self, descriptor: int, rows: int) -> None:
        """descriptor: of a file that is long enough, as `create` makes it; the memory stays when it is closed."""
        self._memory = mmap.mmap(descriptor, rows * _ROW_BYTES)
        self._whole = memoryview(self._memory).cast("Q")
        self._times = memoryview(self._memory).cast("d")

    @staticmethod
    def create(rows: int) -> int:
        """The descriptor of a file without a name, for so many rows of zeros."""
        if hasattr(os, "memfd_create"):  # Linux: needs no folder that can be written to
            descriptor = os.memfd_create("board")
            os.truncate(descriptor, rows * _ROW_BYTES)
            return descriptor
        with tempfile.TemporaryFile() as file:
            file.truncate(rows * _ROW_BYTES)
            return os.dup(file.fileno())

    def closed(self, row: int, kind: int) -> int:
        """How many connections of a kind the child has seen end."""
        return self._whole[row * _ROW_BYTES // 8 + kind]

    def count_closed(self, row: int, kind: int) -> None:
        """Count one. For the child's event loop alone."""
        self._whole[row * _ROW_BYTES // 8 + kind] += 1

    def beat(self, row: int) -> None:
        """Note that the child's event loop turns."""
        self._times[row * _ROW_BYTES // 8 + KINDS] = time.monotonic()

    def still_s(self, row: int) -> float:
        """The seconds since the child's event loop turned last; 0 before its first turn."""
        beaten_at = self._times[row * _ROW_BYTES // 8 + KINDS]
        return time.monotonic() - beaten_at if beaten_at else 0.0

    def clear(self, row: int) -> None:
        """Make all numbers of a row 0. For the parent, while there is no child."""
        for place in range(row * _ROW_BYTES // 8, (row + 1) * _ROW_BYTES // 8):
            self._whole[place] = 0
