"""Pushback: a model server that refuses calls, RESOURCE_EXHAUSTED, gets none for a moment where others take them.

    refused ──▶ rests 0.05 s ──refused again──▶ 0.1 s … 1 s          accepted ──▶ rests no more

A refusal comes quicker than an answer: without a rest the one that refuses has the fewest calls in work and draws all of them.
It is no outlier ejection: where all refuse they are asked as before, so that overload of all costs none of their capacity.
"""

_FIRST_S = 0.05
_LONGEST_S = 1.0


class Pushback:
    """Whether one model server rests. Times are those of one monotonic clock, in seconds. For one event loop."""

    __slots__ = ("_rest_s", "_until_s")

    def __init__(self) -> None:
        self._rest_s = 0.0
        """How long the rest was that began last; 0 after an answer."""
        self._until_s = 0.0

    def is_resting(self, now_s: float) -> bool:
        """Whether the server is passed over at this moment."""
        return now_s < self._until_s

    def refused(self, now_s: float) -> None:
        """Note that the server has refused a call. Those that were under way when the rest began do not make it longer."""
        if now_s >= self._until_s:
            self._rest_s = min(max(_FIRST_S, 2 * self._rest_s), _LONGEST_S)
            self._until_s = now_s + self._rest_s

    def accepted(self) -> None:
        """Note that the server has answered a call."""
        self._rest_s = self._until_s = 0.0
