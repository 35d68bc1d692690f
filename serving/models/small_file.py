"""Files that strangers may have written: read whole, within bounds, and only where a file is one.

A pipe or a device under a file's name would be waited for without end, a huge file would take all memory.
"""

import os
import stat
from pathlib import Path

MOST_BYTES = 16 << 20


def read(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content. Raises `FileNotFoundError` and other OSErrors, also for what is no regular file or is larger."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"{path} has more than {most_bytes} bytes, which is the most")
    return content
