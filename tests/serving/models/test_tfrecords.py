"""Files of TFRecords, against bytes that TensorFlow wrote."""

import random

import pytest

from signet.serving.errors import ServingError
from signet.serving.models.tfrecords import crc32c, masked_crc, read

# tf.io.TFRecordWriter: b"warm", b"", b"\x00" * 3
WRITTEN = bytes.fromhex(
    "0400000000000000424552047761726dfdecf058000000000000000029039807d8ea82a20300000000000000b099490e000000a1ab77e9"
)


def records(tmp_path, data):
    file = tmp_path / "records"
    file.write_bytes(data)
    with file.open("rb") as opened:
        return list(read(opened))


def test_what_tensorflow_wrote_is_read(tmp_path):
    assert records(tmp_path, WRITTEN) == [b"warm", b"", b"\x00" * 3]
    assert records(tmp_path, b"") == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"not a record file at all", r"corrupted record at 0 \(Is this even a TFRecord file\?\)"),
        (b"short", r"truncated record at 0 \(Is this"),
        (WRITTEN[:12], "truncated record at 0' failed with eof"),
        (WRITTEN[:15], "truncated record at 12"),
        (WRITTEN[:12] + b"cold" + WRITTEN[16:], "corrupted record at 12"),
        (WRITTEN[:25], "truncated record at 20"),
        (
            (1 << 62).to_bytes(8, "little") + masked_crc((1 << 62).to_bytes(8, "little")).to_bytes(4, "little") + b"x",
            "truncated record at 12",
        ),
    ],
)
def test_damaged_files_are_data_loss(tmp_path, data, problem):
    with pytest.raises(ServingError, match=problem) as caught:
        records(tmp_path, data)
    assert caught.value.grpc_code == "DATA_LOSS"


def test_checksums_of_any_length_are_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    for length in (511, 512, 1023, 1024, 1025, 5000):
        data = random.Random(length).randbytes(length)
        assert crc32c(data) == bit_by_bit(data)


def bit_by_bit(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
