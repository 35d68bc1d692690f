"""Statuses on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.grpc_transport import status


@pytest.mark.parametrize(
    ("details", "encoded"),
    [
        ("plain ~words!", b"plain ~words!"),
        ("100 %", b"100 %25"),
        ("grüße\n", b"gr%C3%BC%C3%9Fe%0A"),
        ("\t\x7f", b"%09%7F"),
        ("€", b"%E2%82%AC"),
    ],
)
def test_details_are_percent_encoded(details, encoded):
    assert status.encode_message(details) == encoded
    assert status.decode_message(encoded) == details


def test_what_is_no_encoding_stays_as_it_is():
    assert status.decode_message(b"100 % of %zz %4") == "100 % of %zz %4"
    assert status.decode_message(b"%ff") == "\ufffd"


@given(st.text(max_size=400))
def test_details_come_back(details):
    assert status.decode_message(status.encode_message(details)) == details.encode(errors="replace").decode()


@given(st.text(min_size=1, max_size=4), st.integers(1000, 20_000))
def test_long_details_are_cut_at_a_character(text, times):
    encoded = status.encode_message(text * times)
    assert len(encoded) <= status.MOST_MESSAGE_BYTES
    assert (text * times).encode(errors="replace").decode().startswith(status.decode_message(encoded))
