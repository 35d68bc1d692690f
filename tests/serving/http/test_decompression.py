"""Compressed bodies: several members, nothing after the end, and bounds before anything is made."""

import gzip
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.gateway.http import compression
from signet.serving.http.decompression import decompress
from signet.serving.model_server.rest import request_body

MOST = 1 << 22


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_all_members_are_read(parts):
    body = b"".join(map(gzip.compress, parts))
    assert decompress(body, "gzip", MOST) == b"".join(parts)
    assert request_body.unzip(body) == b"".join(parts)


def test_members_may_end_anywhere():
    noise = bytes(i * i * 7919 % 251 for i in range(200_000))
    body = gzip.compress(noise) + gzip.compress(b"") + gzip.compress(noise)
    assert decompress(body, "gzip", MOST) == noise * 2


def zipped(data: bytes, level: int = 9) -> bytes:
    """The same bytes whenever it is called: they name the tests, which every worker has to call alike."""
    return gzip.compress(data, level, mtime=0)


@pytest.mark.parametrize(
    ("body", "name", "error", "problem"),
    [
        (b"", "gzip", InvalidInput, "the gzip body ends too early"),
        (zipped(b"[1]")[:-1], "gzip", InvalidInput, "the gzip body ends too early"),
        (zipped(b"[1]") + zipped(b"[2]")[:-1], "gzip", InvalidInput, "the gzip body ends too early"),
        (zipped(b"[1]") + b"more", "gzip", InvalidInput, "4 bytes follow the end of the gzip body"),
        (zlib.compress(b"[1]") * 2, "deflate", InvalidInput, "11 bytes follow the end of the deflate body"),
        (b"[1]", "gzip", InvalidInput, "the body is not gzip, as its Content-Encoding says"),
        (zipped(b"") * 1001, "gzip", InvalidInput, "the gzip body has more than 1000 members"),
        (zipped(b"12" * MOST), "gzip", TooLarge, "200 times its 8178 compressed: send it uncompressed"),
        (zipped(bytes(i % 251 for i in range(1000)) * 5000, 1), "gzip", TooLarge, f"more than {MOST} bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_cannot_be_read_is_explained(body, name, error, problem):
    with pytest.raises(error, match=re.escape(problem)):
        decompress(body, name, MOST)


def test_a_megabyte_may_come_out_of_any_body():
    assert decompress(gzip.compress(bytes(1 << 20)), "gzip", MOST) == bytes(1 << 20)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("x-gzip", gzip.compress), (" GZip ", gzip.compress), ("identity", bytes)]
)
def test_names_of_encodings_are_those_of_rfc_9110(encoding, pack):
    assert compression.decompress(pack(b"[1]"), encoding, MOST) == b"[1]"


def test_the_model_server_takes_broken_files_for_empty_ones_and_refuses_bombs():
    assert request_body.unzip(gzip.compress(b"[1]") + b"more") == b""
    with pytest.raises(TooLarge, match="send it uncompressed"):
        request_body.unzip(gzip.compress(bytes(1 << 22)))
