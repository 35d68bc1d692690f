"""Floods: many failed requests alike get some lines of their own, and then one that says how many more there were.

    failed request ──kind──▶ among the first of its kind in this second ──▶ a line
                             else ──▶ counted ──a second later──▶ "and 9,312 more like it"

To refuse a request costs little, and so must it to tell of it: 10,000 refusals a second are no reason to fill a disk.
"""

from collections.abc import Hashable, Iterator
from typing import NamedTuple

SECOND_S = 1.0

REFUSED = frozenset(
    (
        *("RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED", "CANCELLED"),
        *("400", "401", "403", "404", "405", "413", "429"),
    )
)
"""Codes and HTTP statuses of what is refused before it is work, or given up, which callers may cause without end."""

_MOST, _MOST_REFUSED = 100, 10
"""Lines that failures of one kind get in a second; those of `REFUSED`."""

_KINDS = 1024
"""Kinds that are remembered: protocols, models and codes come from closed sets, but models come and go."""


class Kind(NamedTuple):
    """What failures have in common."""

    protocol: str
    model: str
    code: str


class _Flood:
    """The failures of one kind in the second since `since`, by the clock of `time.perf_counter`."""

    __slots__ = ("left", "more", "since")

    def __init__(self, since: float, left: int) -> None:
        self.since, self.left, self.more = since, left, 0


class Floods:
    """The failures of one process. For the event loop."""

    def __init__(self) -> None:
        self._floods: dict[Hashable, _Flood] = {}
        self.waiting = False
        """Whether there is something to sum up."""

    def has_line(self, protocol: str, model: str, code: str, now: float) -> bool:
        """Whether a failure gets a line of its own; else it is counted."""
        kind = (protocol, model, code)
        flood = self._floods.get(kind)
        if flood is None or now - flood.since >= SECOND_S:
            more = flood.more if flood else 0
            if len(self._floods) >= _KINDS and not self.waiting:
                self._floods.clear()
            flood = self._floods[kind] = _Flood(now, _MOST_REFUSED if code in REFUSED else _MOST)
            flood.more = more
        if flood.left > 0:
            flood.left -= 1
            return True
        flood.more += 1
        self.waiting = True
        return False

    def sums(self) -> Iterator[tuple[Kind, int]]:
        """What was counted since this was asked last, by kind."""
        self.waiting = False
        for kind, flood in self._floods.items():
            if flood.more:
                more, flood.more = flood.more, 0
                yield Kind(*kind), more  # type: ignore[misc]
