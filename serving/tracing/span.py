"""A span: a named piece of the time that a request takes, as collectors take it."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from signet.serving.tracing.trace_context import TraceContext

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds, numbered as OTLP numbers them: work of this process, answering a call, making one."""

DROPS = ("queue_full", "unreachable", "refused", "broken")
"""Why spans do not reach the collector: more come than go; it did not answer or was busy; it does not want them; our bug."""


class Span(NamedTuple):
    """One span, which has ended. Times are in nanoseconds since 1970."""

    name: str
    kind: int
    context: TraceContext
    """Its trace, itself and its flags."""
    parent_id: str
    """The span above it; empty at the top of a trace."""
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int | float | bool]
    links: tuple[TraceContext, ...] = ()
    """Spans that it has to do with, in whichever traces."""
    failure: str | None = None
    """Why this side has failed, where it has; it may be empty."""
    remote_parent: bool = False
    """Whether the span above is another process's."""


class Recorded(Protocol):
    """What was noted of a request or a call; its spans are made of it where that delays nobody."""

    def spans(self) -> list[Span]:
        """At least one."""
