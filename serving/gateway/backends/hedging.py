"""Hedging: a call that takes long is made a second time on another server, and the first answer counts.

    call ──▶ no answer after the delay ──▶ a second server, if the budget has one left ──▶ the first answer counts

The delay is fixed, or the 95th percentile of what calls took on the quickest server. The budget is a share of all calls, saved
up to a few: while everything is slow nearly nothing is made twice.
"""

from dataclasses import dataclass

from signet.serving.errors import UsageError
from signet.serving.gateway.backends.percentile import Percentile
from signet.serving.gateway.backends.retry_budget import RetryBudget
from signet.serving.gateway.settings import named

SHARE = 0.05
"""Additional calls for each call, at most."""
_MOST_SAVED = 10.0


@dataclass(frozen=True)
class HedgeAfter:
    """When to make a call a second time."""

    seconds: float | None
    """The delay; None: the 95th percentile."""


def parse(text: str) -> HedgeAfter | None:
    """`p95` or seconds; empty: never. Raises `UsageError`."""
    if not text:
        return None
    if text == "p95":
        return HedgeAfter(None)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{named('hedge_after')} is {text!r}; expected p95 or a number of seconds above 0")
    return HedgeAfter(seconds)


class Hedging:
    """When calls of each model are hedged, and whether. For one event loop."""

    def __init__(self, after: HedgeAfter, budget: RetryBudget | None = None) -> None:
        self._after = after
        self._budget = budget or RetryBudget(SHARE, per_second=0, most=_MOST_SAVED, saved=0)
        self._percentiles: dict[str, dict[object, Percentile]] = {}
        """Model -> server -> what its calls took."""

    def began(self) -> None:
        """Count a call that is made for the first time."""
        self._budget.add_call()

    def delay_s(self, model: str) -> float | None:
        """Seconds after which a call of the model may be hedged; None: it is not."""
        if self._after.seconds is not None:
            return self._after.seconds
        known = [found for each in self._percentiles.get(model, {}).values() if (found := each.seconds()) is not None]
        return min(known, default=None)

    def take(self, now_s: float) -> bool:
        """Whether a call may be made a second time; it is counted then."""
        return self._budget.take(now_s)

    def observe(self, model: str, server: object, seconds: float) -> None:
        """Note how long a call took on a server."""
        if self._after.seconds is None:
            of_model = self._percentiles.setdefault(model, {})
            if server not in of_model:
                of_model[server] = Percentile()
            of_model[server].observe(seconds)

    def forget(self, server: object) -> None:
        """A server is no longer there."""
        for of_model in self._percentiles.values():
            of_model.pop(server, None)
