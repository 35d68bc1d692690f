"""Paths of requests: split into parts as they were sent, and only then decoded, so that a name may hold any character.

    /v1/models/team%2Fm%C3%BC:predict ──normalized──▶ one spelling ──route──▶ team%2Fm%C3%BC ──decoded──▶ team/mü

Source: RFC 3986, 2.3 and 6.2.2.
"""

import re
from urllib.parse import unquote

_BEYOND_ASCII = re.compile(rb"[^!-~]")
_UNRESERVED = re.compile(rb"%(2[DEde]|3\d|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")
"""Letters, digits and -._~, which mean the same with and without an escape."""


def normalized(target: bytes) -> bytes:
    """A path with its query, with an escape for each byte that needs one and for no other."""
    if b"%" in target:
        target = _UNRESERVED.sub(lambda match: bytes.fromhex(match[1].decode()), target)
    return _BEYOND_ASCII.sub(lambda match: b"%%%02X" % ord(match[0]), target)


def decoded(part: bytes | str) -> str:
    """A part of a normal path; bytes that are not UTF-8 become U+FFFD."""
    return unquote(part if isinstance(part, str) else part.decode("ascii"))
