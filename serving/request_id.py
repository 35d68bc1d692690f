"""What a request is called, in answers and logs: X-Request-Id over HTTP, x-request-id in the metadata of gRPC.

An id is safe wherever it is written: letters, digits and `-._~:/+=@`, 1 to 128 of them.
"""

import re

KEY = "x-request-id"

_SAFE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


def accepted(sent: str | None) -> str:
    """An id that somebody has sent, if it can be one; else empty."""
    return sent if sent is not None and _SAFE.fullmatch(sent) else ""
