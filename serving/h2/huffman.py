"""Huffman's code of HPACK (RFC 7541, 5.2 and appendix B), read a byte at a time.

byte, state ──▶ next state, symbols that are complete            a state is a node of the code's tree, the root between symbols
"""

from functools import lru_cache

# The code is canonical: its words follow from their lengths, shorter ones first, those of a length in the order of their symbols.
# fmt: off
_LENGTHS = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)
# fmt: on
_END = 256
"""The symbol that ends a string; a string that holds it is wrong, but padding is its beginning: up to seven ones."""

_Row = tuple[list[int], list[bytes]]
"""Of a state, by the byte that comes: the next state, and the symbols that are complete with it. Next state -1: not the code."""


class BadHuffman(ValueError):
    """Bytes that are not Huffman's code."""


def _tree() -> list[list[int]]:
    """Nodes as [if 0, if 1]: another node, or ~symbol. The root is the first."""
    nodes = [[0, 0]]
    word = last_bits = 0
    for bits, symbol in sorted((bits, symbol) for symbol, bits in enumerate(_LENGTHS)):
        word <<= bits - last_bits
        last_bits = bits
        at = 0
        for shift in range(bits - 1, 0, -1):
            side = word >> shift & 1
            if not nodes[at][side]:
                nodes[at][side] = len(nodes)
                nodes.append([0, 0])
            at = nodes[at][side]
        nodes[at][word & 1] = ~symbol
        word += 1
    return nodes


_NODES = _tree()
_ROWS: dict[int, _Row] = {}
"""Made when a state first comes; each is what any thread would make. At most 256 rows, about 4 KB each."""


def _padding() -> frozenset[int]:
    """States in which a string may end: the root, and after one to seven ones."""
    states = [0]
    for _ in range(7):
        states.append(_NODES[states[-1]][1])
    return frozenset(states)


_ENDS = _padding()


def _row(state: int) -> _Row:
    following, complete = [], []
    for byte in range(256):
        at = state
        symbols = b""
        for shift in range(7, -1, -1):
            at = _NODES[at][byte >> shift & 1]
            if at < 0:
                if at == ~_END:
                    break
                symbols += bytes((~at,))
                at = 0
        following.append(-1 if at < 0 else at)
        complete.append(symbols)
    _ROWS[state] = following, complete
    return following, complete


def _decode(text: bytes) -> bytes:
    state = 0
    out = []
    rows = _ROWS
    for byte in text:
        row = rows.get(state) or _row(state)
        state = row[0][byte]
        if state < 0:
            raise BadHuffman("a string in Huffman's code holds the symbol for its end")
        out.append(row[1][byte])
    if state not in _ENDS:
        raise BadHuffman("a string in Huffman's code ends within a symbol, or in padding that is not up to seven ones")
    return b"".join(out)


_CACHED_BYTES = 256
_remembered = lru_cache(2048)(_decode)
"""Of all connections: what comes in literals again and again. At most about 2 MB."""


def decode(text: bytes) -> bytes:
    """Bytes in Huffman's code as what they stand for, at most 8/5 as long; raises `BadHuffman`."""
    return _remembered(text) if len(text) <= _CACHED_BYTES else _decode(text)
