"""Writes TFRecords, which the project itself only reads."""

from serving.tfrecords import masked_crc


def record(data: bytes) -> bytes:
    """One record: length, its checksum, data, its checksum."""
    length = len(data).to_bytes(8, "little")
    return length + masked_crc(length).to_bytes(4, "little") + data + masked_crc(data).to_bytes(4, "little")
