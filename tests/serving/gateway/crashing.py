"""Functions for worker processes: one ends them as a fault of their own would, one has no end. It imports little."""

import ctypes
import threading


def crash(*_: object) -> None:
    """Read from where there is no memory."""
    ctypes.string_at(0)


def hang(*_: object) -> None:
    """Wait for what never comes."""
    threading.Event().wait()
