"""A TFRecord as bytes."""

import io

from signet.serving.models import tfrecords


def record(data: bytes) -> bytes:
    """One record: length, its checksum, data, its checksum."""
    file = io.BytesIO()
    tfrecords.write(file, data)
    return file.getvalue()
