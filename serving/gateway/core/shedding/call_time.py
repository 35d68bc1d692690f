"""How long a model's calls take, as they went lately: a slow-moving mean, and what one more row costs.

    (rows, seconds) of each call ──observe──▶ means, and how seconds went with rows ──of(rows)──▶ seconds

Between two extremes: a call of any rows takes as long as the mean one; it takes as long in proportion to its rows. Which of them
is nearer is found out as soon as calls have had different rows, and until then the first is believed: it refuses nobody
wrongly, and the next full call corrects it.
"""

from dataclasses import dataclass

_WEIGHT = 0.2
"""Of the last call in the means."""

_SLOWEST = 8.0
"""Times the mean that a call counts at most: one that stood still must not shut the door for long."""

_SLOW_WEIGHT = 0.05
"""Of the last call in what a row costs: seconds vary by more than rows make of them."""

_LEAST_SPREAD = 0.25
_LEAST_SHARE = 0.01
"""Square of the rows by which calls have to differ for their seconds to say anything of a row, and of their share in the mean."""


_HICCUP_S = 1.0
"""Seconds up to which a call may have stood still because of the machine: then the next ones need not."""


def slower(usual_s: float, running_s: float) -> float:
    """How many times the usual a call takes now that the youngest of all running ones has run for so long; at least 1.

    A machine that stood still for half a second is no model whose calls take half a second each: up to `_HICCUP_S` it
    counts as `_SLOWEST` times the usual at most, as it will once the call has ended.
    """
    if usual_s <= 0.0:
        return 1.0
    times = max(1.0, running_s / usual_s)
    return times if running_s > _HICCUP_S else min(times, _SLOWEST)


@dataclass(slots=True)
class CallTime:
    """The estimate for one model. Only the batcher writes it."""

    calls: int = 0
    """Calls that were observed; the rest means nothing while there are none."""
    rows: float = 0.0
    """Of a call, the mean."""
    seconds: float = 0.0
    """Of a call, the mean."""
    row_s: float = 0.0
    """Seconds for each row above or below the mean."""
    _spread: float = 0.0
    """Mean square of the rows' distance from their mean."""
    _together: float = 0.0
    """Mean product of the distances of rows and seconds."""

    def observe(self, rows: int, seconds: float) -> None:
        """Take in a call that has ended well."""
        self.calls += 1
        if self.calls == 1:
            self.rows, self.seconds = float(rows), seconds
            return
        off_rows, off_s = rows - self.rows, min(seconds, _SLOWEST * self.seconds) - self.seconds
        self._spread += _SLOW_WEIGHT * (off_rows * off_rows - self._spread)
        self._together += _SLOW_WEIGHT * (off_rows * off_s - self._together)
        self.rows += _WEIGHT * off_rows
        self.seconds += _WEIGHT * off_s
        if self._spread > max(
            _LEAST_SPREAD, _LEAST_SHARE * self.rows * self.rows
        ):  # else the last that was known stays
            self.row_s = self._together / self._spread
        self.row_s = max(0.0, min(self.row_s, self.seconds / max(self.rows, 1.0)))

    def took_longer(self, seconds: float) -> None:
        """Take in a call that was given up after so long: it says nothing but that it would have taken longer."""
        if self.calls and seconds > self.seconds:
            self.seconds += _WEIGHT * (min(seconds, _SLOWEST * self.seconds) - self.seconds)

    def of(self, rows: float) -> float:
        """The seconds of a call with so many rows."""
        return self.seconds + self.row_s * (rows - self.rows)

    def rows_within(self, seconds: float) -> float:
        """The rows of a call that takes so long at most; below one if none does, and infinity where a row more costs nothing."""
        if self.row_s <= 0.0:
            return float("inf")
        return self.rows + (seconds - self.seconds) / self.row_s
