"""A caller who has shown a key: what it may ask and how much of it, and where it is counted.

check(model, admin) ──▶ over_rate(now) ──▶ `Overloaded`, or None ──▶ began(now) ──▶ has_rows(rows, now)
"""

import math
import time
from collections.abc import Sequence
from math import inf

from signet.serving.errors import Overloaded
from signet.serving.gateway.access import tokens
from signet.serving.gateway.access.key_file import Key
from signet.serving.gateway.access.rate import Rate
from signet.serving.process.counter import CounterSeries

REQUESTS, ROWS = "requests", "rows"
"""What rates limit."""


class Identity:
    """A key in use, for one content of the file; its rates are used on by the next. Only the event loop writes to it."""

    __slots__ = (
        *("_hash", "_requests", "_rows", "_salt", "admin", "caller", "counts", "expires_at", "generation", "label"),
        *("models", "name", "plain"),
    )

    def __init__(self, key: Key, generation: int, label: str, share: float, before: "Identity | None" = None) -> None:
        """generation: of the file's content. label: in metrics. share: the part of its rates that is this process's.

        before: the same key as it was in the content before.
        """
        self._salt, self._hash = key.salt, key.hash
        self.name, self.generation, self.label = key.name, generation, label
        self.caller = f"key:{key.name}"
        """Whom fairness counts for."""
        self.admin, self.models = key.admin, key.models
        """models: those that it may ask; None: all."""
        self.expires_at = key.expires.timestamp() if key.expires else inf
        """In seconds since 1970."""
        self._requests: Rate | None = _rate(key.requests_per_s, share, before._requests if before else None)
        self._rows: Rate | None = _rate(key.rows_per_s, share, before._rows if before else None)
        self.plain = self.models is None and self._requests is None and self._rows is None
        """Whether nothing is to be asked but whether it still holds."""
        self.counts: dict[str, CounterSeries] = {}
        """Code -> where requests that were answered with it are counted."""

    def has(self, secret: bytes) -> bool:
        """Whether the secret is the key's; takes as long whatever the answer is."""
        return tokens.matches(secret, self._salt, self._hash)

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at <= time.time()

    def sees(self, model: str) -> bool:
        """Whether its owner may ask a model, and know of it."""
        return self.models is None or model in self.models

    def over_rate(self, now: float) -> tuple[str, Overloaded] | None:
        """Which rate is used up, and what to say; None: none is. now: by `time.perf_counter`."""
        if self._requests is not None and (wait_s := self._requests.wait_s(now)):
            return REQUESTS, self._over(REQUESTS, wait_s)
        if self._rows is not None and (wait_s := self._rows.wait_s(now)):
            return ROWS, self._over(ROWS, wait_s)
        return None

    def _over(self, unit: str, wait_s: float) -> Overloaded:
        error = Overloaded(f"the key {self.name!r} has had its {unit} for now; try again in {math.ceil(wait_s)} s")
        error.retry_after_s = wait_s
        return error

    def began(self, now: float) -> None:
        """Note that a request has begun."""
        if self._requests is not None:
            self._requests.charge(1, now)

    def has_rows(self, rows: int, now: float) -> None:
        """Note that one of its requests has so many rows."""
        if self._rows is not None:
            self._rows.charge(rows, now)


def _rate(per_s: float | None, share: float, before: Rate | None) -> Rate | None:
    """The one that there was, where it is the same: nobody gets more by a change to the file."""
    if per_s is None:
        return None
    return before if before is not None and before.per_s == share * per_s else Rate(share * per_s)


def visible(identity: Identity | None, models: Sequence[str]) -> list[str]:
    """Those of the models that a caller may know of. identity: None where nobody needs a key."""
    return [name for name in models if identity is None or identity.sees(name)]
