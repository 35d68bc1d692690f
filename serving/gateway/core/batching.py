"""The batcher: requests that wait for the same thing share one call.

    submit ──▶ queue of its key ──flush──▶ join along axis 0 ──▶ run ──▶ split by row counts ──▶ each waiter's rows

Gathering: what the loop brings turn by turn goes together, until a turn has brought nothing new, `max_rows` are there, or
the oldest has waited for about as long as the call will take. A caller alone never waits, nor does anybody while the
model would stand idle meanwhile: calls in threads gather only while another one runs. What arrives while all slots are
busy goes together anyhow. A key stands for one model version, signature and inner shapes, so that its
requests can be joined; rows are counted, not requests. A request that fails in company is run again alone. Where a
`PaddingRule` says that longer rows change no answer, requests of different lengths go together too.

Who goes first, who is dropped and how large a call becomes follows from the policies in `shedding/`: the oldest, and the newest
while the queue is over its target; nobody whose answer would come too late while there are others; no more rows than let
those be in time that go together.

A call may take as long as the most patient of its callers waits; when all of them have left it is cancelled.

Every request is answered exactly once, whatever the functions that were handed in raise: from `submit` on it is in its
queue's `waiting` or in one batch, and whoever takes it out answers it or puts it back. All this happens in one event
loop; only it touches queues and requests. `running` counts the calls of a queue that have begun and not ended; one more begins
only while it is below the key's slots, of which there are none while threads are for other models. A queue is forgotten
when nothing waits or runs in it.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from signet.serving.errors import Cancelled, DeadlineExceeded, Internal, Overloaded, Unavailable
from signet.serving.gateway.core.fairness.callers import Caller, turns
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.core.shedding import budget, order
from signet.serving.process.deadlines import Deadlines
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.padding import PaddingRule

Run = Callable[[Arrays, float], Arrays | Awaitable[Arrays]]
"""run(inputs, timeout_s) answers at once, or gives something to await, which may be cancelled."""

Traced = Callable[[Run, list[Any], int, int], Run]
"""traced(run, members, requests, rows) gives the `run` of a call that is told to which trace it belongs. members: those of its
requests that belong to one."""

_LEAST_GATHERING_S = 0.0005
"""Seconds that gathering may take at least, however quick the calls are: some turns of a busy loop."""

_WEIGHT = 0.2
"""Weight of the last call in the estimate of how long one takes."""

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
    parts, start = [], 0
    for count in rows:
        end = start + count
        parts.append({name: array[start:end] for name, array in outputs.items()})
        start = end
    return parts


def row_count(inputs: Arrays) -> int:
    """The length of the first input, which is that of all where they have rows; 1 without an input or a first axis."""
    first = next(iter(inputs.values()), None)
    return len(first) if first is not None and first.ndim else 1


_SILENT = 0.95
"""A request that has this share of the longest time that there is has a caller who sets no deadline."""


class Waiter(Protocol):
    """Who waits for an answer: an `asyncio.Future`, or an object that goes on from these calls at once. None of them raises."""

    def done(self) -> bool:
        """Whether the answer is needed no more: it has come, or the caller has left."""

    def set_result(self, outputs: Arrays, /) -> None:
        """The answer."""

    def set_exception(self, error: Exception, /) -> None:
        """Why there is none."""


@dataclass(slots=True)
class Pace:
    """How calls of one signature went lately, which bounds the gathering. Only the batcher writes it."""

    together: int = 1
    """Requests that went into the last call."""
    call_s: float = 0.0
    """Seconds that a call takes, about."""
    inline: bool = True
    """Whether the last call ran in the event loop itself."""
    load: Load = field(default_factory=Load)
    """Of its model."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A request that has been submitted; its waiter is told the answer unless the caller leaves first."""

    run: Run
    inputs: Arrays
    rows: int
    """The rows of its inputs, for the count and the cut; 1 for inputs without rows."""
    alone: bool
    """Whether the request must not be joined with others."""
    waiter: Waiter
    queued_at: float
    deadline: float
    """By `time.perf_counter`."""
    fill: PaddingRule | None
    batcher: "Batcher"
    queue: "_Queue"
    waited_s: float | None = None
    """Seconds from its submission to the start of its call; None before that."""
    call: "_Call | None" = None
    share: Caller | None = None
    """Of whose share of the model it takes."""
    traced: Any = None
    """The request itself, if it belongs to a trace, which its call is to be told."""

    def leave(self) -> None:
        """The caller has left, and its waiter is done. What waits costs no call; a call for nobody is cancelled."""
        self.batcher.leave(self)

    def give(self, outputs: Arrays) -> None:
        """Answer the request, unless it has been answered or its caller has left."""
        self.batcher.deadlines.discard(self)
        if not self.waiter.done():
            self.waiter.set_result(outputs)

    def refuse(self, error: BaseException) -> None:
        """Answer the request with an error, unless it has been answered or its caller has left."""
        self.batcher.deadlines.discard(self)
        if self.waiter.done():
            return
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.waiter.set_exception(error)
            return
        other = Internal(f"{type(error).__name__}: {error}")  # what no future can carry
        other.__cause__ = error
        self.waiter.set_exception(other)


@dataclass(slots=True, eq=False)
class _Call:
    """A call in work and the requests that wait for it."""

    batch: list[Ticket]
    future: "asyncio.Future[Arrays]"
    started: float

    def cancel_if_abandoned(self) -> None:
        """Cancel the call when all of its callers have left."""
        if all(ticket.waiter.done() for ticket in self.batch):
            self.future.cancel()


@dataclass(slots=True, eq=False)
class _Queue:
    key: Hashable
    pace: Pace
    waiting: deque[Ticket] = field(default_factory=deque)
    rows: int = 0
    """The rows of all that wait."""
    running: int = 0
    flush_due: bool = False
    seen: int = 0
    """How many waited a turn of the loop ago, while the queue gathers."""
    over_since: float = order.NEVER
    """When it got over its target."""


class Batcher:
    """Joins the requests of one event loop into batches: the queue of what cannot start yet is the next batch."""

    def __init__(
        self,
        max_rows: int,
        slots: Callable[[Hashable], int],
        observe: Callable[[Hashable, int], None] | None = None,
        dropped: Callable[[], None] | None = None,
        most_s: float = math.inf,
        *,
        traced: Traced | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """max_rows: most rows in a joint call; 1 turns joining off. slots(key): its calls that may run side by side now; after
        a 0 whoever says so calls `flush` when there are some.

        observe(key, rows): told of each call when it starts. dropped: told of each request whose answer would come too late.
        most_s: seconds that any request may take. traced: needed where requests belong to traces. loop: default: the one that
        runs at the first request.
        """
        self._max_rows, self._slots = max_rows, slots
        self._observe, self._dropped, self._most_s, self._clock = observe, dropped, most_s, clock
        self._traced = traced
        self._queues: dict[Hashable, _Queue] = {}
        self._loop = loop
        """Kept: to ask for it costs a system call in Python 3.11."""
        self.deadlines: Deadlines[Ticket] = Deadlines(self._expire)
        """Of all requests that have no answer yet."""

    def submit(
        self,
        key: Hashable,
        run: Run,
        inputs: Arrays,
        rows: int | None,
        waiter: Waiter,
        deadline: float = math.inf,
        fill: PaddingRule | None = None,
        pace: Pace | None = None,
        share: Caller | None = None,
        traced: Any = None,
    ) -> Ticket:
        """Have a request run in a batch with others; its waiter gets its own outputs, as if it had been run alone.

        key: requests of equal key may be joined, and `run` of any of them serves all. rows: along axis 0; None for
        inputs that must not be joined. deadline: when the waiter gets `DeadlineExceeded`, by `time.perf_counter`. fill:
        of the key; needed when its requests differ in length. pace: of the key. share: of the caller.
        traced: the request, if it belongs to a trace. The waiter is told in a later turn of the loop.
        """
        now = self._clock()
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(key, pace or Pace())
        counted = row_count(inputs) if rows is None else rows
        # Zero rows go alone too: what a model makes of them must not be another caller's trouble.
        ticket = Ticket(
            run, inputs, counted, not rows, waiter, now, deadline, fill, self, queue, None, None, share, traced
        )
        queue.waiting.append(ticket)
        queue.rows += counted
        queue.pace.load.rows += counted
        self._flush_soon(queue)
        self.deadlines.add(ticket, deadline)
        return ticket

    async def answer(
        self,
        key: Hashable,
        run: Run,
        inputs: Arrays,
        rows: int | None,
        timeout_s: float = math.inf,
        fill: PaddingRule | None = None,
        pace: Pace | None = None,
    ) -> Arrays:
        """The outputs of a request, which is submitted and awaited. Raises `DeadlineExceeded` after `timeout_s`.

        A request whose caller was cancelled or whose time was over while it waited costs no call.
        """
        future: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
        deadline = self._clock() + timeout_s
        ticket = self.submit(key, run, inputs, rows, future, deadline, fill, pace)
        try:
            return await future
        except asyncio.CancelledError:
            ticket.leave()
            raise

    def waiting(self, of: Callable[[Hashable], bool] = lambda _: True) -> int:
        """How many requests, of the keys that `of` accepts, wait in queues for a call."""
        return sum(len(queue.waiting) for key, queue in list(self._queues.items()) if of(key))

    def flush(self, of: Callable[[Hashable], bool]) -> None:
        """Start what may start now of the keys that `of` accepts.

        The key whose first request came first goes first; that of the caller who has used the least, if there are several.
        """
        queues = [queue for key, queue in self._queues.items() if of(key)]
        for queue in sorted(queues, key=_urgency):
            self._flush(queue)

    def leave(self, ticket: Ticket) -> None:
        """Let go of a request whose waiter is done."""
        self.deadlines.discard(ticket)
        waited_s = self._clock() - ticket.queued_at
        if ticket.deadline - ticket.queued_at > _SILENT * self._most_s:
            ticket.queue.pace.load.left(waited_s)
        if ticket.call:
            ticket.call.cancel_if_abandoned()
        elif ticket in ticket.queue.waiting:  # its arrays would stay until the next call
            ticket.queue.waiting.remove(ticket)
            ticket.queue.rows -= ticket.rows
            ticket.queue.pace.load.rows -= ticket.rows

    def _expire(self, ticket: Ticket) -> None:
        seconds = ticket.deadline - ticket.queued_at
        ticket.refuse(DeadlineExceeded(f"no answer within {seconds:.1f} seconds"))
        self.leave(ticket)

    def _flush_soon(self, queue: _Queue) -> None:
        if not queue.flush_due:
            queue.flush_due = True
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._flush, queue)

    def _flush(self, queue: _Queue) -> None:
        queue.flush_due = False
        try:
            slots = self._slots(queue.key) if queue.waiting else 0
            if queue.running < slots and self._gathers(queue):
                queue.seen = len(queue.waiting)
                self._flush_soon(queue)
                return
            queue.seen = 0
            while queue.running < slots and (batch := self._take(queue)):
                if self._start(queue, batch) and queue.waiting:
                    self._flush_soon(queue)  # what came with the answers gathers first, and others have their turn
                    return
                slots = self._slots(queue.key) if queue.waiting else 0
        except BaseException as error:  # noqa: BLE001  # every error belongs to the callers
            while queue.waiting:
                queue.waiting.popleft().refuse(error)
            queue.pace.load.rows -= queue.rows
            queue.rows = 0
            _reraise_exit(error)
        # This one may be empty for long, and another be in its place.
        if not queue.waiting and not queue.running and self._queues.get(queue.key) is queue:
            del self._queues[queue.key]

    def _gathers(self, queue: _Queue) -> bool:
        """Whether to wait for one turn of the loop more, as it may bring requests that go into the same call."""
        waiting, pace = len(queue.waiting), queue.pace
        if waiting == queue.seen or queue.rows >= self._max_rows or queue.waiting[0].alone:
            return False
        if waiting == 1 and pace.together == 1:
            return False  # a caller alone
        if not pace.inline and not queue.running:
            return False  # nothing runs, neither here nor there
        waited_s = self._clock() - queue.waiting[0].queued_at
        return waited_s < max(_LEAST_GATHERING_S, pace.call_s)

    def _take(self, queue: _Queue) -> list[Ticket]:
        """As many requests as fit a call; at least one if any is waiting. From the front, or from the back by `order`."""
        batch: list[Ticket] = []
        rows = 0
        now = self._clock()
        load = queue.pace.load
        before, most_rows = queue.rows, float(self._max_rows)
        # Who has so much left, as most have, is in time whatever goes along.
        ample_s = load.time.of(most_rows) / budget.MARGIN
        newest = bool(queue.waiting) and self._newest_first(queue, now)
        if load.callers.active > 1 and queue.rows > self._max_rows:
            self._by_turns(queue, newest)
        waiting = queue.waiting
        while newest and len(waiting) > 1 and now - waiting[0].queued_at > self._allowed_s(waiting[0], load):
            ticket = waiting.popleft()
            queue.rows -= ticket.rows
            self._drop(ticket, load, ticket.deadline - now)
        while waiting:
            ticket = waiting[-1 if newest else 0]
            left_s = ticket.deadline - now
            within = most_rows
            if left_s < ample_s:
                within = min(within, load.time.rows_within(budget.MARGIN * left_s))
            if batch and (ticket.alone or batch[0].alone or rows + ticket.rows > within):
                break
            if newest:
                waiting.pop()
            else:
                waiting.popleft()
            queue.rows -= ticket.rows
            if ticket.deadline <= now:
                self._expire(ticket)  # the sweep is late when the loop was busy
            if ticket.waiter.done():
                continue  # the caller has left
            if left_s < ample_s and (batch or waiting or queue.running) and load.too_late(ticket.rows, left_s):
                self._drop(ticket, load, left_s)
                continue
            batch.append(ticket)
            rows += ticket.rows
            most_rows = within
        load.took(before - queue.rows, rows, left_others=bool(waiting))
        return batch

    def _by_turns(self, queue: _Queue, newest: bool) -> None:
        """Put those first that go into the next call when each caller has its turn; or last, where the newest go first."""
        row_s = _row_s(queue)
        line = list(reversed(queue.waiting)) if newest else list(queue.waiting)
        entries = [(ticket.share or _NOBODY, ticket.rows * row_s) for ticket in line]
        chosen = turns(entries, self._max_rows * row_s)
        among = set(chosen)
        line = [line[position] for position in chosen] + [
            ticket for position, ticket in enumerate(line) if position not in among
        ]
        queue.waiting = deque(reversed(line) if newest else line)

    def _newest_first(self, queue: _Queue, now: float) -> bool:
        oldest, load = queue.waiting[0], queue.pace.load
        waited_s = now - oldest.queued_at
        if waited_s < order.LEAST_INTERVAL_S:  # as nearly always
            queue.over_since = order.NEVER
            return False
        target_s = order.target_s(self._allowed_s(oldest, load))
        queue.over_since = order.over_since(queue.over_since, waited_s, target_s, now)
        return order.newest_first(queue.over_since, load.time.seconds, now)

    def _allowed_s(self, ticket: Ticket, load: Load) -> float:
        """Seconds that a request may wait."""
        return min(ticket.deadline - ticket.queued_at, load.default_s(self._most_s))

    def _drop(self, ticket: Ticket, load: Load, left_s: float) -> None:
        """Refuse a request before its call."""
        if not ticket.waiter.done():
            if self._dropped:
                self._dropped()
            ticket.refuse(load.dropped(left_s))

    def _start(self, queue: _Queue, batch: list[Ticket]) -> bool:
        """Run the batch; True when all of it is answered by now."""
        started = self._clock()
        queue.pace.together = len(batch)
        try:
            result = self._run(queue, batch, started)
            if isinstance(result, dict):
                seconds = self._ended(queue, started, inline=True)
                self._observe_time(queue, batch, seconds)
                _deliver(batch, result)
                return True
            call = _Call(batch, asyncio.ensure_future(result), started)
        except BaseException as error:  # noqa: BLE001  # every error belongs to the callers
            self._fail(queue, batch, error)
            _reraise_exit(error)
            return True
        queue.running += 1
        queue.pace.inline = False  # the next one is to wait for its turn
        queue.pace.load.running[call] = started
        for ticket in batch:
            ticket.call = call
        call.future.add_done_callback(partial(self._finished, queue, call))
        return False

    def _run(self, queue: _Queue, batch: list[Ticket], now: float) -> Arrays | Awaitable[Arrays]:
        if self._observe:
            self._observe(queue.key, sum([ticket.rows for ticket in batch]))
        latest = 0.0
        for ticket in batch:
            ticket.waited_s = now - ticket.queued_at
            latest = max(latest, ticket.deadline)
        first = batch[0]
        run = first.run
        if self._traced and (members := [ticket.traced for ticket in batch if ticket.traced]):
            run = self._traced(run, members, len(batch), sum([ticket.rows for ticket in batch]))
        return run(join([ticket.inputs for ticket in batch], first.fill), latest - now)

    def _finished(self, queue: _Queue, call: _Call, future: "asyncio.Future[Arrays]") -> None:
        queue.running -= 1
        del queue.pace.load.running[call]
        for ticket in call.batch:
            ticket.call = None  # or the arrays would wait for the garbage collector
        seconds = self._ended(queue, call.started, inline=False)
        try:
            outputs = future.result()
            self._observe_time(queue, call.batch, seconds)
            _deliver(call.batch, outputs)
        except asyncio.CancelledError:
            queue.pace.load.time.took_longer(seconds)
            self._fail(queue, call.batch, Cancelled("the call was cancelled"))
        except BaseException as error:  # noqa: BLE001  # every error belongs to the callers
            queue.pace.load.time.took_longer(seconds)
            self._fail(queue, call.batch, error)
        self._flush(queue)

    def _ended(self, queue: _Queue, started: float, *, inline: bool) -> float:
        """Note how the call went; gives its seconds."""
        pace, seconds = queue.pace, self._clock() - started
        pace.call_s += _WEIGHT * (seconds - pace.call_s)
        pace.inline = inline
        return seconds

    def _observe_time(self, queue: _Queue, batch: list[Ticket], seconds: float) -> None:
        """Note what a call has taken that ended well, and what of that each caller has used."""
        load = queue.pace.load
        rows = sum([ticket.rows for ticket in batch])
        load.call_ended(rows, seconds)
        if load.callers.active > 1:
            row_s = seconds / max(1, rows)
            for ticket in batch:
                if ticket.share:
                    load.callers.charge(ticket.share, ticket.rows * row_s)

    def _fail(self, queue: _Queue, batch: list[Ticket], error: BaseException) -> None:
        if len(batch) > 1 and not isinstance(error, _UNRELATED_TO_CONTENT):
            for ticket in reversed(batch):
                ticket.alone = True
                queue.waiting.appendleft(ticket)
                queue.rows += ticket.rows
                queue.pace.load.rows += ticket.rows
            return
        for ticket in batch:
            ticket.refuse(error)


_NOBODY = Caller()
"""Who has asked for what is nobody's request."""


def _row_s(queue: _Queue) -> float:
    """Seconds that a row of a call costs, about."""
    time = queue.pace.load.time
    return time.seconds / time.rows if time.rows and time.seconds else 1.0


def _urgency(queue: _Queue) -> tuple[float, float]:
    """What goes first is least."""
    if not queue.waiting:
        return math.inf, math.inf
    if queue.pace.load.callers.active < 2:  # a caller alone
        return 0.0, queue.waiting[0].queued_at
    return min([ticket.share.used_s for ticket in queue.waiting if ticket.share], default=0.0), queue.waiting[
        0
    ].queued_at


def _reraise_exit(error: BaseException) -> None:
    """Raise again what ends the program."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error


def _deliver(batch: list[Ticket], outputs: Arrays) -> None:
    for ticket, part in zip(batch, split(outputs, [ticket.rows for ticket in batch]), strict=True):
        ticket.give(part)
