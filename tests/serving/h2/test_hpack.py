"""HPACK, held against the package `hpack`."""

import os
import random
import re

import hpack as others
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import example, given
from hypothesis import strategies as st

from signet.serving.h2 import hpack, huffman
from signet.serving.h2.hpack import BadBlock, BlockTooLarge, Decoder

MANY = 1 << 30
ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)

names = st.sampled_from([name for name, _ in hpack._STATIC]) | st.binary(min_size=1, max_size=20)
values = st.sampled_from([b"200", b"POST", b"", b"/", b"x" * 5000]) | st.binary(max_size=60)
headers = st.lists(st.tuples(names, values, st.booleans()), max_size=8)


@given(st.binary(max_size=400))
def test_huffman_reads_what_others_write(text):
    assert huffman.decode(ENCODER.encode(text)) == text


@given(st.binary(max_size=40))
@example(b"\xff")
@example(b"\xff\xff\xff\xff")
@example(b"\x1f")
def test_any_bytes_are_huffman_to_us_as_to_others(text):
    try:
        expected = decode_huffman(text)
    except others.HPACKDecodingError:
        with pytest.raises(huffman.BadHuffman):
            huffman.decode(text)
    else:
        assert huffman.decode(text) == expected


@given(st.lists(st.tuples(headers, st.booleans(), st.none() | st.integers(0, 4096)), max_size=12))
def test_blocks_of_others_are_read_through_changes_of_the_table(blocks):
    encoder, decoder = others.Encoder(), Decoder()
    for fields, uses_huffman, table_bytes in blocks:
        if table_bytes is not None:
            encoder.header_table_size = table_bytes
        block = encoder.encode(fields, huffman=uses_huffman)
        expected = [(name, value) for name, value, _ in fields]
        size = sum(len(name) + len(value) + 32 for name, value in expected)
        assert decoder.decode(block, MANY, MANY) == (expected, size)
        assert decoder._size == encoder.header_table._current_size
        assert decoder._entries == list(encoder.header_table.dynamic_entries)


@given(st.lists(headers, max_size=8))
def test_others_read_our_blocks_and_need_no_table(blocks):
    reader = others.Decoder(max_header_list_size=MANY)
    for fields in blocks:
        pairs = [(name, value) for name, value, _ in fields]
        assert [tuple(field) for field in reader.decode(hpack.encode(pairs), raw=True)] == pairs
        assert not reader.header_table.dynamic_entries
    decoder = Decoder()
    for fields in blocks:
        pairs = [(name, value) for name, value, _ in fields]
        assert decoder.decode(hpack.encode(pairs), MANY, MANY)[0] == pairs
        assert not decoder.changed


def both(blocks):
    """Read the blocks of one connection, here and by others, and compare, until one is bad."""
    reader, decoder = others.Decoder(max_header_list_size=MANY), Decoder()
    for block in blocks:
        try:
            expected = [tuple(field) for field in reader.decode(block, raw=True)]
        except others.HPACKError:
            expected = None
        try:
            fields, size = decoder.decode(block, MANY, MANY)
        except BadBlock:
            assert expected is None
            return
        assert fields == expected
        assert size == sum(len(name) + len(value) + 32 for name, value in fields)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_a_block_to_us_as_to_others(blocks):
    both(blocks)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_bytes_are_blocks_to_us_as_to_others():
    for seed in range(60_000):
        rng = random.Random(seed)
        both([rng.randbytes(rng.randrange(80)) for _ in range(4)])


def changed(blocks, rng):
    """Blocks of others with a byte here and there that is another."""
    for block in blocks:
        spoilt = bytearray(block)
        for _ in range(rng.randrange(3)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        yield bytes(spoilt)


def test_spoilt_blocks_are_bad_to_us_as_to_others():
    for seed in range(300):
        rng = random.Random(seed)
        encoder = others.Encoder()
        fields = [(os.fsencode(f"x-{rng.randrange(9)}"), rng.randbytes(rng.randrange(30))) for _ in range(6)]
        both(changed([encoder.encode(rng.sample(fields, 4)) for _ in range(4)], rng))


def test_headers_end_at_the_soft_limit_and_the_table_goes_on():
    encoder, decoder = others.Encoder(), Decoder()
    fields = [(b"x-%d" % i, b"v" * 20) for i in range(10)]
    kept, size = decoder.decode(encoder.encode(fields), 300, MANY)
    assert kept == fields[:5]
    assert size == 10 * (3 + 20 + 32)
    assert decoder.decode(encoder.encode(fields), MANY, MANY)[0] == fields


def test_a_block_beyond_the_hard_limit_is_not_read_on():
    decoder = Decoder()
    insert = b"\x40\x01x\x7f\xa1\x1d" + b"v" * 3872  # fills the table with one entry
    assert decoder.decode(insert, 100, MANY)[1] == 3905
    with pytest.raises(BlockTooLarge, match="more than 50000 bytes"):
        decoder.decode(b"\xbe" * 16_000, 100, 50_000)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"\x80", "index 0; the tables have 61 entries"),
        (b"\xbe", "index 62; the tables have 61 entries"),
        (b"\xff\xff\xff\xff\xff\xff\x01", "an integer beyond 35 bits"),
        (b"\x00\x05ab", "a string of 5 bytes; the block has 2 more"),
        (b"\x00", "the block of 1 bytes ends within a header"),
        (b"\x82\x20", "the table's size changes within a block"),
        (b"\x3f\xe2\x1f", "a table of 4097 bytes; 4096 are allowed"),
        (b"\x00\x81\x00\x00", "ends within a symbol, or in padding"),
        (b"\x00\x84\xff\xff\xff\xff\x00", "holds the symbol for its end"),
    ],
)
def test_what_is_wrong_with_a_block_is_said(block, problem):
    with pytest.raises(BadBlock, match=re.escape(problem)):
        Decoder().decode(block, MANY, MANY)


@pytest.mark.parametrize("name", ["authorization", "cookie", "proxy-authorization", "set-cookie"])
def test_secrets_are_never_indexed(name):
    block = hpack.encode([(name.encode(), b"secret")])
    assert block[0] >> 4 == 1
    assert isinstance(others.Decoder().decode(block)[0], others.NeverIndexedHeaderTuple)


def test_the_cache_of_huffman_strings_holds_short_ones_only():
    huffman._remembered.cache_clear()
    huffman.decode(ENCODER.encode(b"a" * 100))
    huffman.decode(ENCODER.encode(b"a" * 100))
    huffman.decode(ENCODER.encode(b"a" * 1000))
    info = huffman._remembered.cache_info()
    assert (info.hits, info.currsize, info.maxsize) == (1, 1, 2048)
