"""Turns: which model gets a thread next, so that a slow or hot one delays the others by little.

    may_start(model)? ── yes ──▶ started ──▶ … ──▶ ended(seconds) ──▶ next(): who has waited, best first
                      └─ no ───▶ wait(model)

1. While threads are free, the model with the fewest calls running goes first; of equals, the one that has used the least
   thread time. Who was idle saves up nothing, who has used more than others waits until they have caught up.
2. A model without a call starts its first at once, on a spare thread when the others are busy: the system's scheduler
   then shares the cores, and nobody waits for a whole call of another model.

So threads that nobody else wants are lent, no thread is idle while a call waits, and each model gets a call in the end.
Numbers only: nothing here knows of threads, calls or clocks.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class _Share:
    """What a model has of the threads."""

    running: int = 0
    used_s: float = 0.0
    """Thread time of its calls that have ended, or as much as the least of the others had when it came."""
    waiting: bool = False


class Turns:
    """Who is whose turn among the models of one runner. Whoever runs the calls is the only one to touch it."""

    def __init__(self, threads: int, spare: int) -> None:
        """threads: calls that run side by side. spare: more of them, one a model, for those that have none running."""
        self._threads, self._spare = threads, spare
        self._shares: dict[str, _Share] = {}
        """Of models that run or wait, and of those that have used more than the least of these."""
        self.running = 0
        """Calls that run."""
        self.waiting = 0
        """Models that wait."""

    def share(self, model: str) -> int:
        """The model's equal part of the threads, beside the other models that run or wait now; at least 1."""
        others = sum(1 for name, share in self._shares.items() if name != model and (share.running or share.waiting))
        return max(1, self._threads // (others + 1))

    def may_start(self, model: str) -> bool:
        """Whether a call of the model may start now: there is a thread for it, and none that waits goes before it."""
        share = self._shares.get(model)
        if share and share.waiting:
            return False  # what waits of it goes first, when `next` says so
        if self.running >= self._threads:
            return self._may_spare(share)
        if not self.waiting or not share or not share.running:
            return True
        rank = (share.running, share.used_s)
        return all(rank <= (other.running, other.used_s) for other in self._shares.values() if other.waiting)

    def wait(self, model: str) -> None:
        """Note that something of the model waits for a thread, until `next` names it."""
        share = self._entered(model)
        if not share.waiting:
            share.waiting = True
            self.waiting += 1

    def next(self) -> str | None:
        """The model that waits and goes next; it waits no more. None when nothing waits, or may start."""
        waiting = [(share.running, share.used_s, model) for model, share in self._shares.items() if share.waiting]
        if not waiting:
            return None
        *_, model = min(waiting)
        share = self._shares[model]
        if self.running >= self._threads and not self._may_spare(share):
            return None
        share.waiting = False
        self.waiting -= 1
        return model

    def started(self, model: str) -> None:
        """Note that a call of the model runs."""
        self._entered(model).running += 1
        self.running += 1

    def ended(self, model: str, seconds: float) -> None:
        """Note that a call of the model has ended, which took a thread for so long."""
        share = self._shares[model]
        share.running -= 1
        share.used_s += seconds
        self.running -= 1
        self._tidy()

    def _may_spare(self, share: _Share | None) -> bool:
        return not (share and share.running) and self.running < self._threads + self._spare

    def _entered(self, model: str) -> _Share:
        """The share of a model that is to run or wait. One that comes anew has used no less than the least of the others."""
        share = self._shares.get(model)
        if share is None:
            share = self._shares[model] = _Share(used_s=self._least_s() or 0.0)
        return share

    def _least_s(self) -> float | None:
        return min((share.used_s for share in self._shares.values() if share.running or share.waiting), default=None)

    def _tidy(self) -> None:
        """Forget models that are idle and have no debts: they would come back as new ones do."""
        if len(self._shares) == 1 and self.running:
            return
        least_s = self._least_s()
        for model, share in list(self._shares.items()):
            if not share.running and not share.waiting and (least_s is None or share.used_s <= least_s):
                del self._shares[model]
