"""The greedy batcher: requests that wait for the same thing share one call.

    submit ──▶ queue of its key ──flush──▶ join along axis 0 ──▶ run ──▶ split by row counts ──▶ each caller's rows

A free slot takes what is waiting, at once: nobody waits for a timer. What arrives in one turn of the event loop, or
while all slots are busy, goes together. A key stands for one model version, signature and inner shapes, so that its
requests can be joined; rows are counted, not requests. A request that fails in company is run again alone. Where a
`PaddingRule` says that longer rows change no answer, requests of different lengths go together too.

A call may take as long as the most patient of its callers waits; when all of them have left it is cancelled.

Every request is answered exactly once, whatever the functions that were handed in raise: from `submit` on it is in its
queue's `waiting` or in one batch, and whoever takes it out answers it or puts it back. All this happens in one event
loop; only it touches queues and requests. `running` counts the calls of a queue that have begun and not ended; one more begins
only while it is below the key's slots. A queue is forgotten when nothing waits or runs in it.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from signet.serving.errors import Cancelled, DeadlineExceeded, Internal, Overloaded, Unavailable
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.padding import PaddingRule

Run = Callable[[Arrays, float], Arrays | Awaitable[Arrays]]
"""run(inputs, timeout_s) answers at once, or gives something to await, which may be cancelled."""

_UNRELATED_TO_CONTENT = (Cancelled, DeadlineExceeded, Overloaded, Unavailable)
"""Errors that have nothing to do with a request's content: running its members alone would not help."""


def join(parts: list[Arrays], fill: PaddingRule | None = None) -> Arrays:
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


def row_count(inputs: Arrays) -> int:
    """The length of the first input, which is that of all where they have rows; 1 without an input or a first axis."""
    first = next(iter(inputs.values()), None)
    return len(first) if first is not None and first.ndim else 1


@dataclass(slots=True, eq=False)
class _Request:
    run: Run
    inputs: Arrays
    rows: int
    """The rows of its inputs, for the count and the cut; 1 for inputs without rows."""
    alone: bool
    """Whether the request must not be joined with others."""
    answer: "asyncio.Future[Arrays]"
    queued_at: float
    timeout_s: float
    fill: PaddingRule | None
    on_start: Callable[[float], None] | None
    call: "_Call | None" = None

    @property
    def deadline(self) -> float:
        return self.queued_at + self.timeout_s

    def give(self, outputs: Arrays) -> None:
        """Answer the request, unless it has been answered or its caller has left."""
        if not self.answer.done():
            self.answer.set_result(outputs)

    def refuse(self, error: BaseException) -> None:
        """Answer the request with an error, unless it has been answered or its caller has left."""
        if self.answer.done():
            return
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.answer.set_exception(error)
            return
        other = Internal(f"{type(error).__name__}: {error}")  # what no future can carry
        other.__cause__ = error
        self.answer.set_exception(other)


@dataclass(slots=True)
class _Call:
    """A call in work and the requests that wait for it."""

    batch: list[_Request]
    future: "asyncio.Future[Arrays]"

    def cancel_if_abandoned(self) -> None:
        """Cancel the call when all of its callers have left."""
        if all(request.answer.done() for request in self.batch):
            self.future.cancel()


@dataclass(slots=True)
class _Queue:
    waiting: deque[_Request] = field(default_factory=deque)
    running: int = 0
    flush_due: bool = False


class Batcher:
    """Joins the requests of one event loop into batches, greedily: the queue of what cannot start yet is the next batch."""

    def __init__(
        self,
        max_rows: int,
        slots: Callable[[Hashable], int],
        observe: Callable[[Hashable, int], None] | None = None,
    ) -> None:
        """max_rows: most rows in a joint call; 1 turns joining off. slots(key): its calls that run side by side.

        observe(key, rows): told of each call when it starts.
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
        fill: PaddingRule | None = None,
        on_start: Callable[[float], None] | None = None,
    ) -> Arrays:
        """Run a request in a batch with others; gives its own outputs, as if it had been run alone.

        key: requests of equal key may be joined, and `run` of any of them serves all. rows: along axis 0; None for
        inputs that must not be joined. fill: of the key; needed when its requests differ in length. on_start(seconds):
        told how long the request has waited when its call starts. Raises `DeadlineExceeded` after `timeout_s`. A
        request whose caller was cancelled or whose time was over while it waited costs no call.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Arrays] = loop.create_future()
        counted = row_count(inputs) if rows is None else rows
        # Zero rows go alone too: what a model makes of them must not be another caller's trouble.
        request = _Request(run, inputs, counted, not rows, answer, time.perf_counter(), timeout_s, fill, on_start)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        queue.waiting.append(request)
        if not queue.flush_due:
            queue.flush_due = True
            loop.call_soon(self._flush, key, queue)
        # A timer of the loop costs a sixth of `asyncio.timeout`.
        timer = None if timeout_s == math.inf else loop.call_later(timeout_s, _expire, request)
        try:
            return await answer
        except (asyncio.CancelledError, DeadlineExceeded):
            if request.call:
                request.call.cancel_if_abandoned()
            else:
                with contextlib.suppress(ValueError):
                    queue.waiting.remove(request)  # or its arrays would stay until the next call
            raise
        finally:
            if timer:
                timer.cancel()

    def waiting(self, of: Callable[[Hashable], bool] = lambda _: True) -> int:
        """How many requests, of the keys that `of` accepts, wait in queues for a call."""
        return sum(len(queue.waiting) for key, queue in list(self._queues.items()) if of(key))

    def _flush(self, key: Hashable, queue: _Queue) -> None:
        queue.flush_due = False
        try:
            while queue.running < max(1, self._slots(key)) and (batch := self._take(queue)):
                self._start(key, queue, batch)
        except BaseException as error:  # noqa: BLE001  # every error belongs to the callers
            while queue.waiting:
                queue.waiting.popleft().refuse(error)
            _reraise_exit(error)
        # This one may be empty for long, and another be in its place.
        if not queue.waiting and not queue.running and self._queues.get(key) is queue:
            del self._queues[key]

    def _take(self, queue: _Queue) -> list[_Request]:
        """From the front of the queue, as many requests as fit a call; at least one if any is waiting."""
        batch: list[_Request] = []
        rows = 0
        now = time.perf_counter()
        while queue.waiting:
            request = queue.waiting[0]
            if batch and (request.alone or batch[0].alone or rows + request.rows > self._max_rows):
                break
            queue.waiting.popleft()
            if request.deadline <= now:
                _expire(request)  # its timer is late when the loop was busy
            if request.answer.done():
                continue  # the caller has left
            batch.append(request)
            rows += request.rows
        return batch

    def _start(self, key: Hashable, queue: _Queue, batch: list[_Request]) -> None:
        try:
            result = self._run(key, batch)
            if isinstance(result, dict):
                _deliver(batch, result)
                return
            call = _Call(batch, asyncio.ensure_future(result))
        except BaseException as error:  # noqa: BLE001  # every error belongs to the callers
            self._fail(queue, batch, error)
            _reraise_exit(error)
            return
        queue.running += 1
        for request in batch:
            request.call = call
        call.future.add_done_callback(partial(self._finished, key, queue, batch))

    def _run(self, key: Hashable, batch: list[_Request]) -> Arrays | Awaitable[Arrays]:
        now = time.perf_counter()
        if self._observe:
            self._observe(key, sum([request.rows for request in batch]))
        for request in batch:
            if request.on_start:
                request.on_start(now - request.queued_at)
        timeout_s = max(request.deadline for request in batch) - now
        return batch[0].run(join([request.inputs for request in batch], batch[0].fill), timeout_s)

    def _finished(self, key: Hashable, queue: _Queue, batch: list[_Request], future: "asyncio.Future[Arrays]") -> None:
        queue.running -= 1
        for request in batch:
            request.call = None  # or the arrays would wait for the garbage collector
        try:
            _deliver(batch, future.result())
        except asyncio.CancelledError:
            self._fail(queue, batch, Cancelled("the call was cancelled"))
        except BaseException as error:  # noqa: BLE001  # every error belongs to the callers
            self._fail(queue, batch, error)
        self._flush(key, queue)

    def _fail(self, queue: _Queue, batch: list[_Request], error: BaseException) -> None:
        if len(batch) > 1 and not isinstance(error, _UNRELATED_TO_CONTENT):
            for request in reversed(batch):
                request.alone = True
                queue.waiting.appendleft(request)
            return
        for request in batch:
            request.refuse(error)


def _reraise_exit(error: BaseException) -> None:
    """Raise again what ends the program."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error


def _deliver(batch: list[_Request], outputs: Arrays) -> None:
    for request, part in zip(batch, split(outputs, [request.rows for request in batch]), strict=True):
        request.give(part)


def _expire(request: _Request) -> None:
    request.refuse(DeadlineExceeded(f"no answer within {request.timeout_s:.1f} seconds"))
