"""The HTTP parser beside h11, and against the ways in which users of llhttp, httptools and others were harmed."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from signet.serving.http.known_heads import KnownHeads
from signet.serving.http.messages import Limits
from signet.serving.http.parser import BadRequest, RequestParser
from tests.serving.http_grammar import CONNECTIONS, Reading, by_h11, of_pieces, ours

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n"

STRICTER = {
    "a line ends with CR LF and nothing else": (b"GET / HTTP/1.1\nHost: x\n\n", rb"(?<!\r)\n|\r(?!\n)|[ \t\0]\r\n"),
    "the methods are those of HTTP": (b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", rb"(?:FOO|get|G@T) "),
    "a target is a path, a URL or *": (b"GET a HTTP/1.1\r\nHost: x\r\n\r\n", rb"[A-Z]+ (?![/*])"),
    "an octet of a target is none of DEL's": (b"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", rb"\x7f"),
    "a target has no blank": (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", rb" /a b "),
    "lengths have 64 bits": (HEAD + b"Content-Length: 18446744073709551611\r\n\r\n", rb"\d{19}|f{17}"),
    "the versions are 1.0 and 1.1": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", rb"HTTP/(?!1\.[01]\r)"),
    "a Host is one": (GET + b"Host: a/b\r\n\r\n", rb"[Hh]ost: (?:a/b|a b)"),
    "no field is folded": (GET + b"Host: x\r\nX: y\r\n z\r\n\r\n", rb"\r\n[ \t]"),
    "a name is a token, and a value text": (GET + b"Host: x\r\nX: \x01\r\n\r\n", rb"[\x00-\x08\x0b\x0c\x0e-\x1f]"),
    "there is one length": (
        HEAD + b"Content-Length: 1, 1\r\n\r\na",
        rb"Content-Length: \d+(?:, |\r\nContent-Length: )\d+",
    ),
    "a body has one framing": (
        HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        rb"(?is)content-length.*transfer-encoding|transfer-encoding.*content-length",
    ),
    "HTTP/1.0 has no chunks": (
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        rb"HTTP/1\.0",
    ),
    "a chunk's extension is well-formed": (CHUNKED + b"1;\r\na\r\n0\r\n\r\n", rb"[0-9a-f] ?; ?[^\r]*\r\n"),
    "nothing follows what closes the connection": (GET + b"Host: x\r\nConnection: close\r\n\r\n" + GET, rb"close"),
    "CONNECT has no body": (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", rb"CONNECT "),
}
"""What we refuse and h11 takes, or does not refuse so early; by an example, and by what of it is enough to say so."""

LAXER = {
    "HTTP/1.0 keeps its connection when it asks to, as libevent does": rb"(?is)HTTP/1\.0.*keep-alive",
    "8-bit octets of a path are escaped, as people and curl send them": rb"[A-Z]+ [^\r\n ]*[\x80-\xff]",
    "CONNECT ends the connection: what stands behind it is not looked at": rb"CONNECT ",
}
"""What we take and h11 does not, by what is enough to say so."""


@pytest.mark.parametrize("examples", [200, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_what_is_taken_is_read_as_h11_reads_it(examples):
    @settings(max_examples=examples, deadline=None)
    @given(CONNECTIONS)
    @example(GET + b"Host: x\r\nX: a  b\t\r\n\r\n")
    @example(b"\r\n" + (GET + b"Host: x\r\n\r\n\r\n") * 2)
    def alike(data: bytes) -> None:
        mine, theirs = ours(data), by_h11(data)
        if mine == theirs or any(re.search(pattern, data) for pattern in LAXER.values()):
            return
        assert mine.requests == theirs.requests[: len(mine.requests)], "read in another way"
        assert mine.refused, "taken, and not by h11"
        assert any(re.search(pattern, data) for _, pattern in STRICTER.values()), "refused, and not by h11"

    alike()


@pytest.mark.parametrize("examples", [100, pytest.param(3_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_it_does_not_matter_in_which_pieces_it_comes(examples):
    @settings(max_examples=examples, deadline=None)
    @given(CONNECTIONS, st.integers(1, 40))
    def alike(data: bytes, piece: int) -> None:
        whole, parts = ours(data), ours(data, piece)
        # In pieces it may be read further: what is whole before something bad comes with it is then answered.
        assert parts.requests[: len(whole.requests)] == whole.requests

    alike()


@pytest.mark.parametrize("examples", [100, pytest.param(3_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_heads_that_were_seen_before_mean_the_same_again(examples):
    """Whatever stands behind them, on whichever connection, and whatever came before on that one."""
    part = st.tuples(st.sampled_from(HEADS), st.sampled_from(BODIES)).map(b"".join)
    known = KnownHeads()

    @settings(max_examples=examples, deadline=None)
    @given(st.lists(st.one_of(part, part, CONNECTIONS), max_size=5))
    @example([HEADS[0] + BODIES[1]] * 3)
    def alike(pieces: list[bytes]) -> None:
        expected = of_pieces(pieces)
        assert of_pieces(pieces, known) == expected
        assert of_pieces(pieces, known) == expected

    alike()
    assert known._heads, "none was kept"


HEADS = [
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
    b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 03\r\nConnection: close\r\n\r\n",
    b"POST /d HTTP/1.1\nHost: x\nContent-Length: 3\n\n",
    b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n",
    b"POST /f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /g HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n",
    b"POST /h HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    b"GET http://y/\xc3\xbc HTTP/1.1\r\nHost: y\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"POST",
    b"\r\n",
    b"",
]
BODIES = [b"", b"abc", b"a\r\n\r\nbc", b"\r\n\r\nabc", b"abcd", b"ab", b"3\r\nabc\r\n0\r\n\r\n"]


def test_kept_heads_are_bounded():
    known = KnownHeads()
    for i in range(1000):
        of_pieces(
            [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i, b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 2 * i)], known
        )
    assert len(known._heads) == 256
    assert sum(map(len, known._heads)) <= 256 * 1024


@pytest.mark.parametrize(
    "why", [why for why in STRICTER if why not in ("nothing follows what closes the connection", "CONNECT has no body")]
)
def test_where_we_are_stricter_than_h11(why):
    data, pattern = STRICTER[why]
    assert re.search(pattern, data)
    assert ours(data) == Reading((), refused=True)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GET + b"Host : x\r\n\r\n", id="space before the colon: CVE-2021-22959"),
        pytest.param(
            CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n" + SMUGGLED, id="LF in an extension: CVE-2021-22960, CVE-2024-52304"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunkedchunked\r\n\r\n" + SMUGGLED, id="no such coding: CVE-2022-32213"
        ),
        pytest.param(
            HEAD + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="LF between fields: CVE-2022-32214"
        ),
        pytest.param(HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", id="folded coding: CVE-2022-32215"),
        pytest.param(HEAD + b"X: y\r\rTransfer-Encoding: chunked\r\n\r\n", id="field without CR LF: CVE-2022-35256"),
        pytest.param(
            HEAD + b"X: \rTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n", id="bare CR: CVE-2023-30589"
        ),
        pytest.param(HEAD + b" Content-Length: 34\r\n\r\n" + SMUGGLED, id="folded length: CVE-2024-27982"),
        pytest.param(HEAD + b"X: y\r\n\rZGET / HTTP/1.1\r\n\r\n", id="head ends with CR LF CR X: CVE-2025-23167"),
        pytest.param(CHUNKED + b"1\r\naXX0\r\n\r\n", id="chunk ends with anything: CVE-2025-43859"),
        pytest.param(CHUNKED + b"1\na\r\n0\r\n\r\n", id="LF behind a chunk's size: CVE-2025-22871"),
        pytest.param(CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", id="0x in a chunk's size"),
        pytest.param(CHUNKED + b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n", id="_ in a chunk's size: CVE-2023-47627"),
        pytest.param(CHUNKED + b"-1\r\na\r\n0\r\n\r\n", id="a chunk's size below nought"),
        pytest.param(CHUNKED + b"10000000000000001\r\na\r\n0\r\n\r\n", id="a chunk's size beyond 64 bits"),
        pytest.param(
            HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", id="VT before a coding: CVE-2019-15605"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            id="two codings: CVE-2020-8287",
        ),
        pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="a coding that is not undone"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="chunked is not the last"),
        pytest.param(HEAD + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED, id="identity"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", id="coding and length"
        ),
        pytest.param(
            HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and coding"
        ),
        pytest.param(
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="a coding in HTTP/1.0 (RFC 9112, 6.1)"
        ),
        pytest.param(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", id="two lengths"),
        pytest.param(HEAD + b"Content-Length: 1 2\r\n\r\n" + b"a" * 12, id="blanks in a length: CVE-2018-7159"),
        pytest.param(HEAD + b"Content-Length: +1\r\n\r\na", id="a length with a sign: CVE-2023-47627"),
        pytest.param(HEAD + b"Content-Length: 18446744073709551617\r\n\r\na", id="a length beyond 64 bits"),
        pytest.param(HEAD + b"Content-Length:\r\n\r\na", id="an empty length"),
        pytest.param(GET + b"Host: x\r\nX\x00: y\r\n\r\n", id="NUL in a name"),
        pytest.param(GET + b"Host: x\r\nX: a\x00b\r\n\r\n", id="NUL in a value"),
        pytest.param(GET + b"Host: x\r\n: y\r\n\r\n", id="a field without a name"),
        pytest.param(GET + b"Host: x\r\nX\r\n\r\n", id="a field without a colon"),
        pytest.param(GET + b"Host: x\r\nHost: y\r\n\r\n", id="two Hosts"),
        pytest.param(GET + b"\r\n", id="no Host"),
        pytest.param(GET + b"Host: a b\r\n\r\n", id="a Host that is none"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", id="HTTP/2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 from the start"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 20], ids=["by the byte", "whole"])
def test_what_has_harmed_others_is_refused(data, piece):
    assert ours(data, piece) == Reading((), refused=True)


def floods() -> list[object]:
    line = b"x" * 1000
    return [
        pytest.param(CHUNKED, b"1;" + line, id="a chunk's extension: CVE-2024-22019"),
        pytest.param(CHUNKED, b"1;" + line + b"\r\na\r\n", id="an extension for each octet: CVE-2023-39326"),
        pytest.param(CHUNKED + b"0\r\n", b"x: " + line + b"\r\n", id="trailers"),
        pytest.param(CHUNKED + b"0\r\nx: ", line, id="a trailer without end"),
        pytest.param(HEAD, b"x: " + line + b"\r\n", id="fields: CVE-2018-12121"),
        pytest.param(b"GET /", line, id="a target without end"),
        pytest.param(b"", b"\r\n" * 500, id="empty lines"),
    ]


@pytest.mark.parametrize(("start", "more"), floods())
def test_what_is_no_body_ends_at_its_limit(start, more):
    """Whatever of it the library does not even tell."""
    parser, fed = RequestParser(Limits(head_bytes=1 << 16)), 0
    with pytest.raises(BadRequest):  # noqa: PT012
        parser.feed(start)
        while fed < 1 << 20:
            parser.feed(more)
            fed += len(more)
    assert fed < 3 << 16


def test_http_1_0_may_leave_host_out_and_a_limit_lets_all_do_so():
    assert len(ours(b"GET / HTTP/1.0\r\n\r\n").requests) == 1
    parser = RequestParser(Limits(checks_host=False))
    parser.feed(GET + b"\r\n")
    assert [request.path for request in parser.complete] == [b"/"]


def test_what_is_dropped_is_let_go():
    parser = RequestParser(Limits())
    parser.feed(HEAD + b"Content-Length: 9999\r\n\r\n" + bytes(5000))
    assert parser.held_bytes > 5000
    parser.drop()
    assert parser.held_bytes == 0


def test_fields_of_a_trace_come_joined_and_of_others_the_first():
    parser = RequestParser(Limits())
    lines = [b"traceparent: 1", b"TraceParent: 2", b"tracestate: a=1", b"tracestate: b=2", b"accept: x", b"accept: y"]
    parser.feed(b"\r\n".join([b"GET / HTTP/1.1", b"Host: x", *lines, b"", b""]))
    headers = parser.complete[0].headers
    assert headers == {b"host": b"x", b"traceparent": b"1,2", b"tracestate": b"a=1,b=2", b"accept": b"x"}
