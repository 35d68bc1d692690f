"""Bodies that are forms where JSON is expected: what to say of them.

instances=[1]         ──hint──▶ " The body looks like a form: …"
{"instances": [1]}    ──hint──▶ ""      whatever its Content-Type says: `curl -d` calls everything a form
"""

import re
from collections.abc import Mapping

_TYPES = (b"application/x-www-form-urlencoded", b"multipart/form-data")
_FORM = re.compile(rb"\s*(?:--[^\r\n]{1,70}\r\n|[\w%.+\[\]-]{1,100}=)")
_BINARY = b"inference-header-content-length"


def hint(headers: Mapping[bytes, bytes], body: bytes) -> str:
    """A sentence for a body that could not be read, to stand after the reason; empty where a form is not the reason."""
    if body.lstrip()[:1] in (b"{", b"[") or _BINARY in headers:
        return ""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind in _TYPES:
        return f". Its Content-Type is {kind.decode()}: send JSON, not a form, with Content-Type: application/json"
    if _FORM.match(body):
        return ". It looks like a form: send JSON, with Content-Type: application/json"
    return ""
