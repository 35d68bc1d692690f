"""What a model has in work and how long its calls take: what admission decides by.

the batcher: rows that wait, calls that run, how long they took ──▶ Load ──▶ predicted_s, refusal ──▶ Admission
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from signet.serving.errors import Overloaded
from signet.serving.gateway.core.fairness.callers import Caller, Callers
from signet.serving.gateway.core.shedding import budget, call_time, default_deadline, patience
from signet.serving.gateway.core.shedding.call_time import CallTime

_HALF = 0.5
"""Weight of the last full call in `full_rows`."""


@dataclass(slots=True, eq=False)
class Load:
    """The load of one model, over all of its versions, signatures and shapes. Only the batcher writes it, in the event loop."""

    model: str = ""
    slots: Callable[[], int] = lambda: 1
    """Calls that run side by side as things are now: as `Backend.slots`."""
    full_rows: float = 1.0
    """Rows that go into one call when there are enough: of those that left somebody waiting; at first those that may join."""
    rows: int = 0
    """Rows that wait for a call."""
    running: dict[object, float] = field(default_factory=dict)
    """When each call began that runs beside the event loop, the oldest first."""
    time: CallTime = field(default_factory=CallTime)
    callers: Callers = field(default_factory=Callers)
    """Who has requests in work of it; written by admission, and by the batcher for what their calls cost."""
    patience_s: float = patience.UNKNOWN
    """Seconds that callers without a deadline wait before they leave."""
    _refusals: dict[int, Overloaded] = field(default_factory=dict)
    """What to say, by the seconds after which to come back: made once."""

    def took(self, gone: int, rows: int, *, left_others: bool) -> None:
        """A call takes so many rows. gone: rows that wait no more. left_others: it had room for no more."""
        self.rows -= gone
        if left_others and rows:
            self.full_rows += _HALF * (rows - self.full_rows)

    def call_ended(self, rows: int, seconds: float) -> None:
        """Note a call that has answered somebody."""
        self.time.observe(rows, seconds)
        self.patience_s = patience.call_ended(self.patience_s)

    def left(self, waited_s: float) -> None:
        """Note a caller without a deadline who has left unanswered."""
        self.patience_s = patience.left(self.patience_s, waited_s)

    def wait_s(self, now: float, rows: float) -> float:
        """Seconds until the call of a request would begin that came behind so many rows; 0 while no call was ever made."""
        if not self.time.calls:
            return 0.0
        running = len(self.running)
        rest, slower = 0.0, 1.0
        if running and running >= self.slots():
            times = tuple(self.running.values())
            call_s = self.time.seconds
            slower = call_time.slower(call_s, now - times[-1])
            # Whichever ends first: the oldest may be on a server that stands still, while others answer.
            rest = min(budget.rest_s(call_s * slower, now - began) for began in (times[0], times[-1]))
        full_call_s = self.time.of(self.full_rows) * slower
        return budget.wait_s(rest, rows, self.full_rows, full_call_s, max(1, running))

    def default_s(self, most_s: float) -> float:
        """Seconds that a request may take whose caller sets no deadline."""
        return default_deadline.default_s(self.time.seconds, most_s, self.patience_s)

    def predicted_s(self) -> float:
        """Seconds that a request would wait for its call if it came now."""
        return self.wait_s(perf_counter(), self.rows)

    def refusal(
        self, deadline: float | None, most_s: float, now: float, caller: Caller | None = None
    ) -> Overloaded | None:
        """Why a request is refused that has to be answered by `deadline`; None: it is not.

        caller: who asks: what others have waiting beyond their shares does not go before it.
        deadline, now: by `time.perf_counter`; no deadline where the caller sets none. most_s: seconds that any request may take.
        """
        if not self.time.calls:
            return None
        rows: float = self.rows
        if caller and self.callers.active > (caller.in_work > 0):
            rows *= self.callers.ahead(caller)
        wait = self.wait_s(now, rows)
        if wait <= 0.0:
            return None
        left = self.default_s(most_s) if deadline is None else deadline - now
        if budget.fits(wait, self.time.of(rows % self.full_rows + 1), left):
            return None
        return self._refusal(budget.retry_after_s(wait))

    def too_late(self, rows: int, left_s: float) -> bool:
        """Whether a request with so many rows could not be answered in time any more if its call began now."""
        return bool(self.time.calls) and budget.too_late(self.time.of(rows), left_s)

    def dropped(self, left_s: float) -> Overloaded:
        """What a request is told that is dropped before its call. left_s: the rest of its time."""
        error = Overloaded(
            f"a call of model {self.model!r} takes about {self.time.seconds:.3g} s, and the request, which had to wait, has "
            f"{left_s:.3g} s left: it was dropped before its call"
        )
        error.retry_after_s = float(budget.retry_after_s(self.predicted_s()))
        return error

    def _refusal(self, seconds: int) -> Overloaded:
        known = self._refusals.get(seconds)
        if known is None:
            known = self._refusals[seconds] = Overloaded(
                f"model {self.model!r} has more in work than it answers in the time that the request has; "
                f"try again in {seconds} s"
            )
            known.retry_after_s = float(seconds)
        return known
