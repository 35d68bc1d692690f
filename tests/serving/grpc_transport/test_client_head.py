"""What a client's headers say, held against hyper's HPACK."""

import math

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.grpc_transport.client_head import ClientHeads, timeout_value

UNITS_S = {b"m": 1e-3, b"S": 1.0}


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (0.0, b"1m"),
        (-1.0, b"1m"),
        (0.0004, b"1m"),
        (0.0421, b"43m"),
        (0.1, b"100m"),
        (0.101, b"110m"),
        (4.996, b"5S"),
        (29.7, b"30S"),
        (30.0, b"30S"),
        (131.0, b"140S"),
        (3600.0, b"3600S"),
        (1e9, b"99999999S"),
        (math.inf, b""),
    ],
)
def test_timeouts_have_two_digits(seconds, value):
    assert timeout_value(seconds) == value


@given(st.floats(1e-4, 9e7))
def test_timeouts_are_rounded_up_and_by_no_more_than_a_tenth(seconds):
    value = timeout_value(seconds)
    assert len(value) <= 9
    told = int(value[:-1]) * UNITS_S[value[-1:]]
    assert seconds * (1 - 1e-9) <= told <= seconds * 1.1 + 0.001 + 1e-9


def test_calls_that_are_alike_have_the_same_bytes_and_mean_what_grpc_asks_for():
    heads = ClientHeads("https", "there:8500")
    block = heads.block("/p.S/M", 29.9, ())
    assert heads.block("/p.S/M", 29.8, ()) is block
    assert heads.block("/p.S/N", 29.9, ()) != block
    fields = hpack.Decoder().decode(block, raw=True)
    assert fields[:4] == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"there:8500"),
        (b":path", b"/p.S/M"),
    ]
    assert {(b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"grpc-timeout", b"30S")} < set(fields)
    assert (b"grpc-accept-encoding", b"identity,gzip,deflate") in fields
    with_more = heads.block("/p.S/M", math.inf, [("id", "1"), ("x-bin", b"\x00")])
    more = hpack.Decoder().decode(with_more, raw=True)
    assert more[-2:] == [(b"id", b"1"), (b"x-bin", b"AA")]
    assert b"grpc-timeout" not in dict(more)


def test_what_is_kept_is_bounded():
    heads = ClientHeads("http", "x")
    for i in range(2000):
        heads.block(f"/p.S/{i}", 1, ())
    assert len(heads._kept) <= 256
