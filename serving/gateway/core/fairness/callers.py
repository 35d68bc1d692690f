"""Callers of one model: who goes into the next call and who gets the next place, so that each has an equal part of both.

    known(name) ──▶ Caller ──▶ lends? has it less than its part of the places, or are there enough for the others besides?
                                └──▶ enter ──▶ turns: who goes next ──▶ charge: what its rows cost ──▶ leave

Each caller's processor time is summed up: its rows times the seconds that a row of their call took. Who has used the least goes
next. That is deficit round robin with the deficits in seconds rather than in rounds, and one account for all calls of the
model, whatever their signatures and shapes: nobody gets ahead of another who waits by more than one request, and nobody saves
up while idle. A caller alone costs two counts a request.

Strangers choose the names: at most `MOST` are told apart, all beyond them are one caller together.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signet.serving.gateway.core.fairness.places import own

MOST = 256
"""Callers of a model that are told apart at once."""

KNOWN_S = 10.0
"""Seconds for which places are kept for a caller that asks no more."""


@dataclass(slots=True, eq=False)
class Caller:
    """What one caller has of a model. Only its `Callers` write it."""

    in_work: int = 0
    used_s: float = 0.0
    """Processor time since all callers were idle at once; who comes later begins with as much as the least of the others."""
    seen: float = 0.0
    """When it asked last."""
    era: int = 0
    """In which `used_s` counts."""


class Callers:
    """The callers of one model. Only the event loop touches it."""

    def __init__(self, most: int = MOST) -> None:
        """most: callers that are told apart."""
        self._most = most
        self._known: dict[str, Caller] = {}
        """The one that has asked last comes last."""
        self._last_name: str | None = None
        self._last = self._others = Caller()
        """The one that has asked last, who is known, if there is a name; and all that there is no room for."""
        self._era = 0
        self.alone: str | None = None
        """The caller of whom alone there is anything known."""
        self.active = 0
        """Callers with requests in work."""

    def __len__(self) -> int:
        """The number of callers that are known."""
        return len(self._known)

    def known(self, name: str, now: float) -> Caller:
        """The caller of a name, who asks now."""
        if name == self._last_name:
            caller = self._last
        else:
            known = self._known
            found = known.pop(name, None)
            if found is None:
                if known and not self._made_room(now):
                    return self._others
                found = Caller()
            known[name] = caller = found
            self._last_name, self._last = name, caller
            self.alone = name if len(known) == 1 else None
        caller.seen = now
        return caller

    def enter(self, name: str, now: float) -> Caller:
        """Count a request more in work of the caller of a name, who asks now."""
        if name == self._last_name:  # as `known` does, without the call
            caller = self._last
            caller.seen = now
        else:
            caller = self.known(name, now)
        if not caller.in_work:
            if caller.era != self._era:
                caller.era, caller.used_s = self._era, 0.0
            if self.active:
                caller.used_s = max(caller.used_s, min([other.used_s for other in self._all() if other.in_work]))
            self.active += 1
        caller.in_work += 1
        return caller

    def leave(self, caller: Caller) -> None:
        """Count a request less."""
        caller.in_work -= 1
        if not caller.in_work:
            self.active -= 1
            if not self.active:
                self._era += 1  # nobody waits: nobody owes anybody anything

    def lends(self, caller: Caller, used: int, room: int) -> bool:
        """Whether a caller may have one more of the places. used: those that the model has; room: that it may have besides."""
        sharers, most = len(self._known), used + room
        each = own(most, sharers)
        if caller.in_work < each or not each:
            return room > 0
        part = most // sharers
        others = [other for other in self._known.values() if other is not caller]
        return room > sum([min(each, max(0, part - other.in_work)) for other in others])

    def ahead(self, caller: Caller) -> float:
        """Which part of all that waits goes before one request more of a caller, about."""
        mine = caller.in_work + 1
        in_work = [other.in_work for other in self._all()]
        return sum([min(mine, each) for each in in_work]) / max(1, sum(in_work))

    def charge(self, caller: Caller, seconds: float) -> None:
        """Note processor time that a request of the caller took."""
        caller.used_s += seconds

    def _all(self) -> Iterable[Caller]:
        return [*self._known.values(), self._others] if self._others.in_work else self._known.values()

    def _made_room(self, now: float) -> bool:
        """Forget callers that are idle and have not asked for long, and if need be the one of the idle that asked first."""
        known = self._known
        self._last_name = None  # it may be among them
        for name, caller in list(known.items()):
            if caller.seen > now - KNOWN_S:
                break
            if not caller.in_work:
                del known[name]
        if len(known) < self._most:
            return True
        idle = next((name for name, caller in known.items() if not caller.in_work), None)
        if idle is not None:
            del known[idle]
        return idle is not None


def turns(waiting: Sequence[tuple[Caller, float]], most_s: float) -> list[int]:
    """Who goes next of what waits, by position: always the first request of the caller that will have used the least.

    waiting: (caller, processor seconds) of each request, in the order in which one caller's go. most_s: stop after so many
    seconds.
    """
    lines: dict[Caller, deque[int]] = {}
    for position, (caller, _) in enumerate(waiting):
        lines.setdefault(caller, deque()).append(position)
    heap = [(caller.used_s, line[0], caller) for caller, line in lines.items()]
    heapq.heapify(heap)
    chosen: list[int] = []
    total_s = 0.0
    while heap and (total_s < most_s or not chosen):
        used_s, position, caller = heap[0]
        chosen.append(position)
        seconds = waiting[position][1]
        total_s += seconds
        line = lines[caller]
        line.popleft()
        if line:
            heapq.heapreplace(heap, (used_s + seconds, line[0], caller))
        else:
            heapq.heappop(heap)
    return chosen
