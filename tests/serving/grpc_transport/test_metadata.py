"""Metadata as header fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.grpc_transport import metadata

KEYS = st.from_regex(r"[a-z0-9_.][a-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda key: not key.startswith("grpc-") and key not in ("te", "host")
)
TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
PAIRS = KEYS.flatmap(
    lambda key: st.tuples(st.just(key), TEXTS) if not key.endswith("-bin") else st.tuples(st.just(key), st.binary())
) | st.tuples(KEYS.map(lambda key: f"{key}-bin"), st.binary(max_size=40))


@given(st.lists(PAIRS, max_size=8))
def test_metadata_comes_back_in_order(pairs):
    assert metadata.from_fields(metadata.to_fields(pairs)) == pairs


def test_what_is_gRPCs_own_is_left_out():
    fields = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"grpc-timeout", b"1S"), (b"x", b"1")]
    assert metadata.from_fields(fields) == [("x", "1")]


@pytest.mark.parametrize("value", [b"AP8=", b"AP8"])
def test_base64_comes_with_padding_or_without(value):
    assert metadata.from_fields([(b"x-bin", value)]) == [("x-bin", b"\x00\xff")]


def test_values_joined_by_commas_are_several():
    assert metadata.from_fields([(b"x-bin", b"AP8,AA==")]) == [("x-bin", b"\x00\xff"), ("x-bin", b"\x00")]


def test_what_is_no_base64_is_named():
    with pytest.raises(ValueError, match="metadata 'x-bin' is no base64"):
        metadata.from_fields([(b"x-bin", b"A!B")])


@pytest.mark.parametrize("pair", [("Upper", "1"), ("grpc-x", "1"), ("a b", "1"), ("", "1"), ("x", "ü"), ("x", "a\n")])
def test_what_cannot_be_sent_is_refused(pair):
    with pytest.raises(ValueError, match="metadata"):
        metadata.to_fields([pair])


def test_when_to_try_again_is_told_though_its_name_is_gRPCs():
    told = [("grpc-retry-pushback-ms", "1500"), ("retry-after", "2")]
    fields = metadata.to_fields(told)
    assert fields == [(b"grpc-retry-pushback-ms", b"1500"), (b"retry-after", b"2")]
    assert metadata.from_fields(fields) == told
