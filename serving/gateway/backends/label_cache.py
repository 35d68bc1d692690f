"""Labels that only the model servers know, kept for a moment: a label costs them one question, not one a request.

    (model, label) ──▶ asked less than FRESH_S ago? ──▶ its answer, or that of the question in work
                        └── no ──▶ ask, unless MOST labels of the model are fresh: `Overloaded`

That nobody knows a label is kept too. Labels come from strangers: what is kept, and what is asked, is bounded.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from signet.serving.errors import Overloaded, ServingError

FRESH_S = 1.0
"""Seconds that an answer holds; a label that is moved at the model servers is noticed so late."""
MOST = 64
"""Labels of a model that are asked for within that time."""

Fetch = Callable[[str, str], Awaitable[int | None]]
"""(model, label) -> version, or None for a label that is not known."""


class LabelCache:
    """The versions of labels as the model servers said last. Only the event loop touches it."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._known: dict[str, dict[str, tuple[float, asyncio.Task[int | None]]]] = {}
        """Model -> label -> when it was asked for, and its answer; the oldest first."""

    async def version(self, model: str, label: str) -> int | None:
        """The version that the label of a declared model stands for. Raises what the question raises, and `Overloaded`."""
        known = self._known.setdefault(model, {})
        now = self._clock()
        for old in [name for name, (asked_at, _) in known.items() if asked_at <= now - FRESH_S]:
            del known[old]
        if label not in known:
            if len(known) >= MOST:
                raise Overloaded(f"{MOST} labels of model {model!r} were asked for just now; try again in a second")
            task = asyncio.create_task(self._answer(model, label))
            task.add_done_callback(_look)
            known[label] = now, task
        return await asyncio.shield(known[label][1])

    async def _answer(self, model: str, label: str) -> int | None:
        try:
            return await self._fetch(model, label)
        except ServingError:
            self._known[model].pop(label, None)  # that is no answer
            raise


def _look(task: asyncio.Task[int | None]) -> None:
    """Those who asked may have left by now; nobody else needs to hear what went wrong."""
    if not task.cancelled():
        task.exception()
