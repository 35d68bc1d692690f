"""Messages in a stream of bytes, however it is cut."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.grpc_transport.messages import MessageReader, Refused, framed

ROOM = 1 << 40


def compressed(message, encoding):
    packed = gzip.compress(message) if encoding == b"gzip" else zlib.compress(message)
    return b"\1" + framed(packed)[1:]


@given(
    st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=6),
    st.sampled_from([b"gzip", b"deflate"]),
    st.data(),
)
def test_messages_come_back_however_their_bytes_are_cut(messages, encoding, data):
    wire = b"".join(compressed(message, encoding) if packed else framed(message) for message, packed in messages)
    reader, found, start = MessageReader(1000, encoding), [], 0
    while start < len(wire):
        size = data.draw(st.integers(1, len(wire) - start))
        found += reader.feed(wire[start : start + size], ROOM)
        start += size
    assert found == [message for message, _ in messages]
    assert reader.pending_bytes == 0


def refused(wire, limit=100, encoding=b"identity", room=ROOM):
    with pytest.raises(Refused) as caught:
        MessageReader(limit, encoding).feed(wire, room)
    return caught.value.code, caught.value.details


def test_a_message_beyond_the_limit_is_refused_by_its_prefix():
    assert refused(framed(bytes(101))[:5]) == ("RESOURCE_EXHAUSTED", "Received message larger than max (101 vs. 100)")


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_what_a_compressed_message_holds_is_bounded_by_the_limit_and_by_the_room(encoding):
    bomb = compressed(bytes(1 << 20), encoding)
    assert refused(bomb, 10_000, encoding)[0] == "RESOURCE_EXHAUSTED"
    assert refused(bomb, 1 << 30, encoding, 10_000)[0] == "RESOURCE_EXHAUSTED"
    assert MessageReader(1 << 20, encoding).feed(bomb, ROOM) == [bytes(1 << 20)]


@pytest.mark.parametrize(
    "wire",
    [
        compressed(b"abc", b"deflate"),  # not gzip
        b"\1" + framed(gzip.compress(b"abc", mtime=0)[:-3])[1:],
        b"\1" + framed(gzip.compress(b"abc", mtime=0) + b"x")[1:],
        b"\2" + framed(b"abc")[1:],
    ],
)
def test_what_cannot_be_read_is_internal(wire):
    assert refused(wire, 100, b"gzip")[0] == "INTERNAL"


def test_a_compressed_message_without_an_encoding_is_internal():
    assert refused(compressed(b"abc", b"gzip"))[0] == "INTERNAL"


def test_pending_and_expected_bytes_tell_of_the_message_that_comes():
    reader = MessageReader(1000)
    assert reader.feed(framed(bytes(300))[:100], ROOM) == []
    assert (reader.pending_bytes, reader.expected_bytes) == (100, 305)
