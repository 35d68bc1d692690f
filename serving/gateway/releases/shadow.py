"""Shadow: a candidate is shown copies of requests after the stable version has answered them, and its answers are compared.

    request answered by stable ──chance──▶ answer sent ──next turn of the loop──▶ queue of copies ──idle──▶ candidate's call
                                                  full: dropped, counted ◀──────────┘                 └──▶ compare ──▶ `told`

A copy is never in a caller's way: it is made after the answer has been handed to its connection, waits until no request waits
or runs, one runs at a time, and what finds no room is dropped. Only the event loop touches any of this.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signet.serving.errors import Cancelled, NotFound, Overloaded, ServingError, Unavailable
from signet.serving.gateway.releases.comparison import Difference, compare
from signet.serving.tensors.arrays import Array, Arrays

log = logging.getLogger(__name__)

MOST_COPIES, MOST_BYTES = 64, 32 << 20
"""Copies that wait, and bytes that they keep in memory."""
LOOK_S = 0.02
"""Seconds between two looks whether there is time, while copies wait."""

SHOWN, FULL, AWAY = "shown", "full", "away"
"""What becomes of a copy: the candidate was shown it; there was no room; it was not there any more."""
OUTCOMES = (SHOWN, FULL, AWAY)

_AWAY = (Unavailable, NotFound, Overloaded, Cancelled)
"""Errors that say nothing of the candidate's answer."""


@dataclass(slots=True, eq=False)
class Copy:
    """A request as the candidate is to see it."""

    model: str
    trial: Any
    """Whose evidence it is."""
    signature: str
    inputs: Arrays
    outputs: Arrays = field(default_factory=dict)
    """What the stable version gave."""

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps in memory: of texts about, of the rows of a joined call those of all its callers."""
        return sum(_kept_bytes(array) for arrays in (self.inputs, self.outputs) for array in arrays.values())


def _kept_bytes(array: Array) -> int:
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return 64 * whole.size if whole.dtype.hasobject else whole.nbytes


Show = Callable[[Copy], Awaitable[Arrays]]
"""Gives the candidate's outputs, or raises."""
Told = Callable[[Copy, Mapping[str, Difference] | None], None]
"""told(copy, differences) by output; None: the candidate had no answer."""


class Shadow:
    """The copies of one gateway."""

    def __init__(
        self,
        show: Show,
        idle: Callable[[str], bool],
        told: Told,
        count: Callable[[str, str], None] = lambda model, outcome: None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """idle(model): whether nothing waits or runs that a copy could be in the way of. count(model, outcome): of `OUTCOMES`.

        loop: default: the one that runs at the first copy.
        """
        self._show, self._idle, self._told, self._count, self._loop = show, idle, told, count, loop
        self._waiting: deque[Copy] = deque()
        self._bytes = 0
        self._worker: asyncio.Task[None] | None = None
        """Shows what waits, one copy after the other, and ends."""

    @staticmethod
    def chosen(share: float) -> bool:
        """Whether chance chooses a request."""
        return share > 0 and random.random() < share  # noqa: S311  # nothing is to be kept secret

    @property
    def full(self) -> bool:
        """Whether one copy more would find no room: then it need not be made."""
        return len(self._waiting) >= MOST_COPIES

    @property
    def waiting(self) -> int:
        """Copies that wait."""
        return len(self._waiting)

    def answered(self, copy: Copy) -> None:
        """A request has its answer, which is about to be sent: nothing is done before that."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._take, copy)

    def stop(self) -> None:
        """Forget all copies."""
        if self._worker is not None:
            self._worker.cancel()
        self._waiting.clear()
        self._bytes = 0

    def _take(self, copy: Copy) -> None:
        nbytes = copy.nbytes
        if self.full or self._bytes + nbytes > MOST_BYTES:
            self._count(copy.model, FULL)
            return
        self._waiting.append(copy)
        self._bytes += nbytes
        if self._worker is None:
            assert self._loop is not None, "a copy was taken"
            self._worker = self._loop.create_task(self._work())
            self._worker.add_done_callback(self._ended)

    async def _work(self) -> None:
        while self._waiting:
            if not self._idle(self._waiting[0].model):
                await asyncio.sleep(LOOK_S)
                continue
            copy = self._waiting.popleft()
            self._bytes -= copy.nbytes
            await self._shown(copy)  # begins at once: between the look and the call nobody can come
            await asyncio.sleep(0)  # requests that came meanwhile go first

    async def _shown(self, copy: Copy) -> None:
        try:
            outputs = await self._show(copy)
        except _AWAY:
            self._count(copy.model, AWAY)
        except ServingError:
            self._count(copy.model, SHOWN)
            self._told(copy, None)
        else:
            self._count(copy.model, SHOWN)
            self._told(copy, compare(copy.outputs, outputs))

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        self._worker = None
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("a copy for a candidate failed", exc_info=error)  # a bug; the next copy begins anew
