"""Places in work, shared out among models or callers: idle shares are lent, the last places of another are not.

    take(who) ── free > kept for the others ──▶ one more ──▶ … ──▶ leave(who)
              └─ no ──▶ False: who has its share

Of 512 places with 4 models each has 32 of its own, which nobody else ever gets. One that uses more has so many free before it
at any time until it has its equal part: who has borrowed gets no more meanwhile, and what it gives back is for the others.
"""

from collections.abc import Callable

_OWN = 4
"""One part in so many is kept for their owners in all, half of the places at most; the rest is lent to whoever comes."""


def own(most: int, sharers: int) -> int:
    """Places that each of the sharers has for itself; 0 where there are too few, or nobody to share with."""
    if sharers < 2 or most < 2 * sharers:
        return 0
    return max(1, most // (_OWN * sharers))


class Places:
    """So many places, and who has them. Whoever shares them out is the only one to touch it."""

    def __init__(self, most: int, sharers: Callable[[], int]) -> None:
        """most: places there are. sharers(): how many may want some, idle ones included; asked only when half are taken."""
        self.most, self._sharers = most, sharers
        self.ample = most // 2
        """While fewer are taken there are enough for all, whoever takes them."""
        self.taken = 0
        self.used: dict[str, int] = {}
        """Who -> its places, where it has any."""

    def take(self, who: str) -> bool:
        """Take one place more; False when that is beyond the share of `who`, or when there is none."""
        if self.taken >= self.ample and self.room(who) <= 0:
            return False
        self.add(who)
        return True

    def add(self, who: str) -> None:
        """Take one place more, of which it is known that `who` may have it."""
        self.taken += 1
        used = self.used
        used[who] = used.get(who, 0) + 1

    def take_unnamed(self) -> bool:
        """Take one place more for somebody who is not known yet; False when there is none."""
        if self.taken >= self.most:
            return False
        self.taken += 1
        return True

    def leave(self, who: str | None) -> None:
        """Give a place back. who: None: one that is still unnamed."""
        self.taken -= 1
        if who is not None:
            left = self.used[who] - 1
            if left:
                self.used[who] = left
            else:
                del self.used[who]

    def room(self, who: str) -> int:
        """Places that `who` may take now, one after the other."""
        free = self.most - self.taken
        mine, sharers = self.used.get(who, 0), self._sharers()
        each = own(self.most, max(sharers, len(self.used) + (not mine)))
        if not each:
            return free
        part = self.most // (len(self.used) + (not mine))
        others = [places for name, places in self.used.items() if name != who]
        kept = sum([min(each, max(0, part - places)) for places in others])
        kept += each * max(0, sharers - 1 - len(others))
        return max(free - kept, min(each - mine, free))
