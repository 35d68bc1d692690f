"""Files of TFRecords, against bytes that TensorFlow wrote."""

import pytest

from signet.serving.errors import ServingError
from signet.serving.models.tfrecords import masked_crc, read

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
