"""The headers of a call as a client sends them: a block of HPACK, which is the same bytes for calls that are alike.

path, seconds left, metadata ──▶ :method, :scheme, :path, :authority, te, grpc-timeout … ──▶ block, kept for the next call

A server that keeps what a block means has it at once, too; that is why timeouts are rounded up to two digits.
"""

import math

from signet.serving.grpc_transport import metadata as metadata_fields
from signet.serving.grpc_transport.calls import Metadata
from signet.serving.grpc_transport.messages import ENCODINGS
from signet.serving.h2 import hpack
from signet.serving.release import running_version

_KEPT = 256
"""Blocks that are kept; paths are few, and so are timeouts once they are rounded."""
_MOST = 99_999_999
"""The largest number of a grpc-timeout."""


class ClientHeads:
    """The blocks for the calls on one server. For the event loop alone."""

    def __init__(self, scheme: str, authority: str) -> None:
        self._first = ((b":method", b"POST"), (b":scheme", scheme.encode()), (b":authority", authority.encode()))
        self._others = (
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", f"grpc-python-signet/{running_version()}".encode()),
            (b"grpc-accept-encoding", b",".join(ENCODINGS)),
        )
        self._kept: dict[tuple[str, bytes], bytes] = {}

    def block(self, path: str, left_s: float, metadata: Metadata) -> bytes:
        """The headers of a call. left_s: until its deadline; infinity for none. Raises `ValueError` for metadata that is none."""
        timeout = timeout_value(left_s)
        if metadata:
            return self._written(path, timeout) + hpack.encode(metadata_fields.to_fields(metadata))
        block = self._kept.get((path, timeout))
        if block is None:
            if len(self._kept) == _KEPT:
                self._kept.clear()
            block = self._kept[path, timeout] = self._written(path, timeout)
        return block

    def _written(self, path: str, timeout: bytes) -> bytes:
        timeouts = [(b"grpc-timeout", timeout)] if timeout else []
        return hpack.encode([*self._first, (b":path", path.encode()), *timeouts, *self._others])


def timeout_value(seconds: float) -> bytes:
    """grpc-timeout, rounded up: two digits of milliseconds, seconds and so on. Empty for infinity.

    0.0421 -> 43m    4.996 -> 5S    29.7 -> 30S    131.0 -> 140S
    """
    if seconds == math.inf:
        return b""
    count = max(1, math.ceil(seconds * 1000))
    if count > _MOST:
        return b"%dS" % min(_MOST, math.ceil(seconds))
    step = 10 ** max(0, len(str(count)) - 2)
    count = -(-count // step) * step
    if count % 1000:
        return b"%dm" % count
    return b"%dS" % (count // 1000)
