"""The greedy batcher: requests that wait for the same thing share one call.

    submit ──▶ queue of its key ──flush──▶ join along axis 0 ──▶ run ──▶ split by row counts ──▶ each caller's rows

A free slot takes what is waiting, at once: nobody waits for a timer. What arrives in one turn of the event loop, or
while all slots are busy, goes together. A key stands for one model version, signature and inner shapes, so that its
requests can be joined; rows are counted, not requests. A request that fails in company is run again alone. Where a
`Fill` says that longer rows change no answer, requests of different lengths go together too.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from serving.errors import Cancelled, DeadlineExceeded, Internal, Overloaded, ServingError, Unavailable
from serving.fill import Fill
from serving.tensors import Arrays

Run = Callable[[Arrays], Arrays | Awaitable[Arrays]]
"""Answers at once, or gives something to await."""

_NOBODYS_FAULT = (Cancelled, DeadlineExceeded, Overloaded, Unavailable)
"""Errors that have nothing to do with a request's content: running its members alone would not help."""


def join(parts: list[Arrays], fill: Fill | None = None) -> Arrays:
    """Stack requests along axis 0: [{"x": (2, 3)}, {"x": (1, 3)}] -> {"x": (3, 3)}."""
    if len(parts) == 1:
        return parts[0]
    joint = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if fill and len({array.shape[1:] for array in arrays}) > 1:
            joint[name] = fill.concatenated(name, arrays)
        else:
            joint[name] = np.concatenate(arrays)
    return joint


def split(outputs: Arrays, rows: list[int]) -> list[Arrays]:
    """Undo `join`: cut every output at the row counts of the requests that made it.

    Raises `Internal` when an output does not have a row for each that went in.
    """
    if len(rows) == 1:
        return [outputs]
    total = sum(rows)
    for name, array in outputs.items():
        if not array.ndim or len(array) != total:
            raise Internal(f"output {name!r} has shape {array.shape} for {total} rows")
    cuts = np.cumsum(rows)[:-1]  # the last cut would be the end
    pieces = {name: np.split(array, cuts) for name, array in outputs.items()}
    return [{name: pieces[name][i] for name in pieces} for i in range(len(rows))]


@dataclass(slots=True)
class _Request:
    run: Run
    inputs: Arrays
    rows: float
    """Infinite for a request that must go alone."""
    answer: "asyncio.Future[Arrays]"
    queued_at: float
    fill: Fill | None


@dataclass(slots=True)
class _Queue:
    waiting: deque[_Request] = field(default_factory=deque)
    running: int = 0
    flush_due: bool = False


class Batcher:
    """Joins the requests of one event loop."""

    def __init__(
        self, max_rows: int, slots: int, observe: Callable[[Hashable, int, float], None] | None = None
    ) -> None:
        """max_rows: most rows in a joint call; 1 turns joining off. slots: calls of one key that run side by side.

        observe(key, rows, seconds): told of each call when it starts: its rows, how long its first request waited.
        """
        self._max_rows, self._slots = max_rows, slots
        self._observe = observe
        self._queues: dict[Hashable, _Queue] = {}

    async def submit(
        self,
        key: Hashable,
        run: Run,
        inputs: Arrays,
        rows: int | None,
        timeout_s: float = math.inf,
        fill: Fill | None = None,
    ) -> Arrays:
        """This request's own outputs, as if it had been run alone.

        key: requests of equal key may be joined, and `run` of any of them serves all. rows: along axis 0; None for
        inputs that must not be joined. fill: of the key; needed when its requests differ in length. Raises
        `DeadlineExceeded` after `timeout_s`. A request whose caller was cancelled or whose time was over while it
        waited costs no call.
        """
        loop = asyncio.get_running_loop()
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        answer: asyncio.Future[Arrays] = loop.create_future()
        # Zero rows go alone too: what a model makes of them must not be another caller's trouble.
        queue.waiting.append(_Request(run, inputs, rows or math.inf, answer, time.perf_counter(), fill))
        if not queue.flush_due:
            queue.flush_due = True
            loop.call_soon(self._flush, key, queue)
        if timeout_s == math.inf:
            return await answer
        # A timer of the loop costs a sixth of `asyncio.timeout`.
        timer = loop.call_later(timeout_s, _expire, answer, timeout_s)
        try:
            return await answer
        finally:
            timer.cancel()

    def waiting(self, of: Callable[[Hashable], bool] = lambda _: True) -> int:
        """Requests, of the keys that `of` accepts, that no call has taken yet."""
        return sum(len(queue.waiting) for key, queue in self._queues.items() if of(key))

    def _flush(self, key: Hashable, queue: _Queue) -> None:
        queue.flush_due = False
        while queue.running < self._slots and (batch := self._take(queue)):
            self._start(key, queue, batch)
        if not queue.waiting and not queue.running:
            self._queues.pop(key, None)

    def _take(self, queue: _Queue) -> list[_Request]:
        """From the front of the queue, as many requests as fit a call; at least one if any is waiting."""
        batch: list[_Request] = []
        rows = 0.0
        while queue.waiting:
            request = queue.waiting[0]
            if batch and rows + request.rows > self._max_rows:
                break
            queue.waiting.popleft()
            if request.answer.done():
                continue  # the caller has left
            batch.append(request)
            rows += request.rows
        return batch

    def _start(self, key: Hashable, queue: _Queue, batch: list[_Request]) -> None:
        if self._observe:
            first = next(iter(batch[0].inputs.values()))
            rows = sum(int(request.rows) for request in batch) if len(batch) > 1 else (len(first) if first.ndim else 1)
            self._observe(key, rows, time.perf_counter() - batch[0].queued_at)
        try:
            result = batch[0].run(join([request.inputs for request in batch], batch[0].fill))
        except Exception as error:  # noqa: BLE001  # every error belongs to the callers
            self._fail(queue, batch, error)
            return
        if isinstance(result, dict):
            self._deliver(queue, batch, result)
            return
        queue.running += 1
        asyncio.ensure_future(result).add_done_callback(partial(self._finished, key, queue, batch))

    def _finished(self, key: Hashable, queue: _Queue, batch: list[_Request], future: "asyncio.Future[Arrays]") -> None:
        queue.running -= 1
        if future.cancelled():
            self._fail(queue, batch, Cancelled("the call was cancelled"))
        elif error := future.exception():
            self._fail(queue, batch, error)
        else:
            self._deliver(queue, batch, future.result())
        self._flush(key, queue)

    def _deliver(self, queue: _Queue, batch: list[_Request], outputs: Arrays) -> None:
        try:
            parts = split(outputs, [int(request.rows) for request in batch] if len(batch) > 1 else [1])
        except ServingError as error:
            self._fail(queue, batch, error)
            return
        for request, part in zip(batch, parts, strict=True):
            if not request.answer.done():
                request.answer.set_result(part)

    def _fail(self, queue: _Queue, batch: list[_Request], error: BaseException) -> None:
        if len(batch) > 1 and not isinstance(error, _NOBODYS_FAULT):
            for request in reversed(batch):
                request.rows = math.inf
                queue.waiting.appendleft(request)
            return
        for request in batch:
            if not request.answer.done():
                request.answer.set_exception(error)


def _expire(answer: "asyncio.Future[Arrays]", timeout_s: float) -> None:
    if not answer.done():
        answer.set_exception(DeadlineExceeded(f"no answer within {timeout_s:.1f} seconds"))
