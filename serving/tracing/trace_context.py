"""To which trace a request belongs, as its caller says it and as model servers are told: W3C Trace Context, level 2.

    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ──parse──▶ TraceContext ──fields──▶ the same

What is no traceparent counts as none: a trace that is broken off does less harm than a request that is refused.
Source: https://www.w3.org/TR/trace-context-2/
"""

import re
from random import getrandbits
from typing import NamedTuple

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""Headers over HTTP, and keys of metadata over gRPC."""

SAMPLED = 0x01
"""The flag of those who have recorded the request."""
KNOWN_FLAGS = 0x03
"""That, and the one of trace ids that are random: of later versions no others are passed on."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MOST = 512
"""Characters of a traceparent of a later version, and of a tracestate that is passed on."""
_NOBODY = "ff"
"""No version is called that."""

_MEMBER = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=([ -+\--<>-~]{0,255}[!-+\--<>-~])")
_MOST_MEMBERS = 32
_LARGE_MEMBER = 128
"""Characters; larger ones go first where there are too many."""


class TraceContext(NamedTuple):
    """A trace, and the span in it that comes next above."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    flags: int = SAMPLED
    state: str = ""
    """What tracing systems on the way have added, as tracestate has it."""

    @property
    def sampled(self) -> bool:
        """Whether whoever is above records it."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """As a header says it."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def fields(self) -> tuple[tuple[str, str], ...]:
        """The headers, or the metadata, that say it."""
        if self.state:
            return (TRACEPARENT, self.traceparent), (TRACESTATE, self.state)
        return ((TRACEPARENT, self.traceparent),)


def parse(traceparent: str, tracestate: str | None = None) -> TraceContext | None:
    """What the two headers say; None where the first is none. Several headers of a name come joined by commas."""
    match = _TRACEPARENT.fullmatch(traceparent) if len(traceparent) <= _MOST else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == _NOBODY or (version == "00" and rest) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    number = int(flags, 16)
    if version != "00":
        number &= KNOWN_FLAGS
    return TraceContext(trace_id, span_id, number, _state(tracestate) if tracestate else "")


def new_trace_id() -> str:
    """Random, never all zeros."""
    return f"{getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """Random, never all zeros."""
    return f"{getrandbits(64) or 1:016x}"


def _state(tracestate: str) -> str:
    """A tracestate that may be passed on, or nothing where it is none: its members, of which as many go as are too long."""
    parts = tracestate.split(",", _MOST_MEMBERS * 4)
    members = [member for part in parts if (member := part.strip(" \t"))]
    if len(members) > _MOST_MEMBERS:
        return ""
    keys = set()
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match is None:
            return ""
        keys.add(match[1])
    if len(keys) != len(members):
        return ""
    if len(",".join(members)) > _MOST:
        members = [member for member in members if len(member) <= _LARGE_MEMBER]
    while members and len(",".join(members)) > _MOST:
        members.pop()
    return ",".join(members)
