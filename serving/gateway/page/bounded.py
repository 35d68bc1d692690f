"""What strangers have written, as JSON that is safe to send: bounded in size and depth, of the types that are expected.

    a card's JSON ──Bounded──▶ the same where it is as expected ──left_out──▶ what was not, in words

A card may hold half a character, a number of a thousand digits, NaN, a million labels, or a list where a text belongs.
"""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

MOST_TEXT = 4_000
"""Characters of a text."""
MOST_DEPTH = 8
MOST_VALUES = 200_000
"""Items and entries of a whole document: lists within lists may have millions, each of them few."""
_EXACT = 1 << 53
"""Whole numbers beyond are not whole in a browser, nor in 64 bits much later."""


class Bounded:
    """Reads one document of a stranger, and notes what it leaves out."""

    def __init__(self) -> None:
        self._left_out: dict[str, str] = {}
        self._values = 0
        """Items and entries that were read."""

    @property
    def left_out(self) -> str:
        """What was left out, as a sentence; empty when nothing was."""
        parts = [f"{place} ({why})" for place, why in self._left_out.items()]
        return f"left out of its card: {', '.join(parts)}" if parts else ""

    def text(self, place: str, value: Any, most: int = MOST_TEXT) -> str:
        """A text with characters alone, cut where it is too long; empty for None and for what is no text."""
        if not isinstance(value, str):
            if value is not None:
                self._note(place, "no text")
            return ""
        if len(value) > most:
            self._note(place, f"a text of {len(value)} characters; {most} are shown")
        return value[:most].encode(errors="replace").decode()

    def number(self, place: str, value: Any) -> float | int | None:
        """A finite number; None for None and for anything else."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._note(place, "no number")
        elif (isinstance(value, int) and abs(value) > _EXACT) or not math.isfinite(value):
            self._note(place, "a number that JSON cannot carry")
        else:
            return value
        return None

    def items(self, place: str, value: Any, most: int, read: Callable[[Any], T]) -> list[T]:
        """The first items of a list, each as `read` gives it; empty for None and for what is no list."""
        if not isinstance(value, list | tuple):
            if value is not None:
                self._note(place, "no list")
            return []
        return [read(item) for item in value[: self._room(place, len(value), most)]]

    def mapping(self, place: str, value: Any) -> Mapping[str, Any]:
        """An object as it is; an empty one for None and for what is none."""
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self._note(place, "no object")
        return {}

    def entries(self, place: str, value: Any, most: int, read: Callable[[Any], T]) -> dict[str, T]:
        """The first entries of an object, as `items`."""
        entries = self.mapping(place, value)
        shown = islice(entries.items(), self._room(place, len(entries), most))
        return {self.text(place, key, 200): read(one) for key, one in shown}

    def tree(self, place: str, value: Any, most: int, depth: int = 0) -> Any:
        """Any JSON. most: items of a list, entries of an object."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(place, value)
        if isinstance(value, int | float):
            return self.number(place, value)
        if depth >= MOST_DEPTH:
            self._note(place, f"what is nested more than {MOST_DEPTH} deep")
            return None
        if isinstance(value, Mapping):
            return self.entries(place, value, most, lambda one: self.tree(place, one, most, depth + 1))
        return self.items(place, value, most, lambda one: self.tree(place, one, most, depth + 1))

    def _room(self, place: str, count: int, most: int) -> int:
        """How many of so many are read."""
        shown = min(count, most, MOST_VALUES - self._values)
        self._values += shown
        if shown < count:
            self._note(place, f"{count} entries; the first {shown} are shown")
        return shown

    def _note(self, place: str, why: str) -> None:
        self._left_out.setdefault(place, why)
