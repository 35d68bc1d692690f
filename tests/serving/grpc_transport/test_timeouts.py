"""The form of grpc-timeout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.grpc_transport import client_head, timeouts


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"6n", 6e-9), (b"0S", 0)),
        (b"99999999H", 99_999_999 * 3600),
    ],
)
def test_all_units(value, seconds):
    assert timeouts.parse(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"S", b"1", b"1s", b"-1S", b"1.5S", b"123456789S", b" 1S", b"1S ", b"\xb2S"])
def test_what_is_none_is_refused(value):
    with pytest.raises(ValueError, match="malformed grpc-timeout"):
        timeouts.parse(value)


@given(st.floats(0, 9e7))
def test_what_our_client_writes_is_read_as_no_shorter_and_hardly_longer(seconds):
    read = timeouts.parse(client_head.timeout_value(seconds))
    assert seconds <= read + 1e-9
    assert read <= seconds * 1.1 + 0.01
