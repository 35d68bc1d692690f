"""TensorFlow Serving's batching: requests for the same tensors of one version wait in a queue and share calls.

    run ──▶ queue of (version, tensors fed, tensors fetched) ──▶ open batch ──full, or has waited──▶ a free thread:
                                                                            merge ──▶ predict ──▶ split ──▶ answers

Unlike the gateway's batcher (`serving/gateway/core/batching.py`) it may wait for more, fills calls up to allowed sizes, refuses
what a bounded queue does not take, and an error of a call is every member's. All threads are shared; queues take turns.
The original's flaw that a request without rows waits for ever is not copied: it goes alone.
Source: `batching_session.cc`, `shared_batch_scheduler.h`.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from signet.serving.engine.runner import Runner, size_class
from signet.serving.engine.servable import Servable
from signet.serving.engine.tensorflow_c import RunOptions
from signet.serving.errors import Cancelled, InvalidInput, Overloaded, Unavailable
from signet.serving.model_server.tfs_batching.batch import cut, merge, rows_of, split
from signet.serving.model_server.tfs_batching.parameters import BatchingSettings, Parameters
from signet.serving.process.concurrency import gather_or_cancel
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

_Key = tuple[Servable, frozenset[str], frozenset[str]]


class Observe(Protocol):
    """What is called when a call starts: with the seconds its requests have waited, their rows, and the rows of the call."""

    def __call__(self, model: str, waited_s: Sequence[float], rows: Sequence[int], size: int) -> None: ...


@dataclass(slots=True)
class _Task:
    """One request, or a part of one that was cut, which waits for its batch."""

    inputs: Arrays
    """By the names of the tensors that are fed."""
    rows: int
    fetched: Mapping[str, str]
    """The tensor behind each output that is wanted."""
    deadline: float
    answer: "asyncio.Future[Arrays]"
    queued_at: float


@dataclass(slots=True)
class _Batch:
    """Requests that go into one call, and their rows together."""

    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


class _Queue:
    """What waits for the same tensors of one version: batches, of which the last one is open."""

    def __init__(self, servable: Servable, signature: Signature, outputs: Sequence[str], parameters: Parameters):
        """signature, outputs: one way to name the tensors; there may be others."""
        self.servable, self.signature, self.outputs = servable, signature, tuple(outputs)
        self.parameters = parameters
        self._batches = deque([_Batch()])

    @property
    def empty(self) -> bool:
        return len(self._batches) == 1 and not self._batches[0].tasks

    @property
    def due(self) -> float:
        """When the next batch may go; infinite when there is none."""
        first = self._batches[0]
        if len(self._batches) > 1 or first.rows >= self.parameters.most_rows:
            return -math.inf
        return first.tasks[0].queued_at + self.parameters.batch_timeout_s if first.tasks else math.inf

    @property
    def open_room(self) -> int:
        """Rows that the open batch still takes."""
        return self.parameters.most_rows - self._batches[-1].rows

    def refusal(self, rows: int) -> str | None:
        """Why a request of so many rows cannot wait here; None when it can."""
        waiting, most = len(self._batches), self.parameters.max_enqueued_batches
        full = "The batch scheduling queue to which this task was submitted is full; "
        if self.parameters.max_execution_batch_size is None:
            if rows <= self.open_room or waiting < most:
                return None
            return f"{full}currently {waiting} batches enqueued and max_enqueued_batches is {most}"
        capacity = (most - waiting) * self.parameters.most_rows + self.open_room
        if rows <= capacity:
            return None
        return (
            f"{full}task size is {rows} but scheduling capacity is only {capacity} (num_enqueued_batches={waiting}, "
            f"max_enqueued_batches={most}, open_batch_size={self._batches[-1].rows}, "
            f"max_execution_batch_size={self.parameters.most_rows})"
        )

    def add(self, task: _Task) -> None:
        if task.rows > self.open_room:
            self._batches.append(_Batch())
        self._batches[-1].tasks.append(task)
        self._batches[-1].rows += task.rows

    def take(self, now: float) -> _Batch | None:
        """The batch whose turn it is, if one may go."""
        if self.due > now:
            return None
        if len(self._batches) == 1:
            self._batches.append(_Batch())
        return self._batches.popleft()


class BatchScheduler(Runner):
    """A runner that joins the calls of those versions that have batching parameters; for one event loop.

    Queues, counts and the timer are read and written by that loop alone. Batch threads see the tensors of their batch
    and nothing else; `alone` runs in a loading thread and reads `_parameters` only.
    """

    def __init__(self, unbatched: Runner, batching: BatchingSettings) -> None:
        """unbatched: runs the calls of all other versions."""
        super().__init__(batching.threads)
        self.observe: Observe | None = None
        self._unbatched, self._batching = unbatched, batching
        self._parameters: WeakKeyDictionary[Servable, Parameters] = WeakKeyDictionary()
        """The parameters of each version that is batched. Written by the thread that loads it, before it is handed out."""
        self._queues: dict[_Key, _Queue] = {}
        """The queues in which something waits, in the order of their turns."""
        self._running = 0
        """Calls in batch threads, `threads` at most."""
        self._dispatch_due = False
        """Whether `_dispatch` runs at the end of this turn of the event loop."""
        self._timer: asyncio.TimerHandle | None = None
        """When the next open batch has waited long enough; None while all threads are busy, or nothing waits."""

    def admit(self, servable: Servable, path: Path) -> None:
        """Batch the calls of the version at `path` by its parameters, if any. Raises `InvalidInput` for bad ones."""
        parameters = self._batching.of(path)
        if parameters is not None:
            self._parameters[servable] = parameters

    def run(
        self,
        servable: Servable,
        signature: Signature,
        inputs: Arrays,
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
        *,
        beside: bool = False,
    ) -> Arrays | Awaitable[Arrays]:
        """Something to await that gives the outputs. Raises `InvalidInput` and `Unavailable` at once."""
        parameters = self._parameters.get(servable)
        if parameters is None:
            return self._unbatched.run(servable, signature, inputs, outputs, timeout_s, beside=beside)
        rows = _checked_rows(inputs, parameters)
        if not rows:
            return super().run(servable, signature, inputs, outputs, timeout_s, beside=beside)
        names = tuple(outputs) or tuple(signature.outputs)
        fed = {signature.inputs[name].tensor: array for name, array in inputs.items()}
        fetched = {name: signature.outputs[name].tensor for name in names}
        queue = self._queue(servable, signature, fed, fetched, rows)
        now = time.monotonic()
        deadline = math.inf if timeout_s is None else now + timeout_s
        loop = asyncio.get_running_loop()
        tasks = [
            _Task(part, rows_of(part), fetched, deadline, loop.create_future(), now)
            for part in cut(fed, _sizes(rows, queue.open_room, parameters))
        ]
        for task in tasks:
            queue.add(task)
        if not self._dispatch_due:
            # Not at once: what else arrives in this turn of the event loop goes together with it.
            self._dispatch_due = True
            loop.call_soon(self._dispatch)
        return tasks[0].answer if len(tasks) == 1 else _rejoined([task.answer for task in tasks])

    def alone(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str] = ()) -> Arrays:
        """The outputs of a request that no other goes together with, at once, in the calling thread."""
        parameters = self._parameters.get(servable)
        if parameters is None:
            return servable.predict(signature, inputs, outputs)
        rows = _checked_rows(inputs, parameters)
        answers = []
        for part in cut(inputs, _sizes(rows, parameters.most_rows, parameters)):
            count = rows_of(part)
            size = parameters.padded(count) if count else 0
            merged = merge([part], size, parameters.pad_variable_length_inputs)
            answers += split(servable.predict(signature, merged, outputs), [count], size)
        return _stacked(answers)

    def close(self) -> None:
        super().close()
        self._unbatched.close()

    def _queue(
        self, servable: Servable, signature: Signature, fed: Arrays, fetched: Mapping[str, str], rows: int
    ) -> _Queue:
        """The queue for these tensors. Raises `Unavailable` when it does not take so many rows."""
        key = servable, frozenset(fed), frozenset(fetched.values())
        queue = self._queues.get(key)
        if queue is not None and queue.refusal(rows):
            self._dispatch()  # a thread may be free: what waits just has not been looked at in this turn of the loop
            queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(servable, signature, tuple(fetched), self._parameters[servable])
        if refusal := queue.refusal(rows):
            raise Unavailable(refusal)
        return queue

    def _dispatch(self) -> None:
        """Start what may go, as long as a thread is free."""
        self._dispatch_due = False
        while self._running < self.threads and (found := self._next()):
            self._start(*found)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._running < self.threads and self._queues:
            wait_s = min(queue.due for queue in self._queues.values()) - time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._dispatch)

    def _next(self) -> tuple[_Queue, _Batch] | None:
        """The batch of the first queue that has one to go; that queue's next turn is after all others."""
        now = time.monotonic()
        for key, queue in self._queues.items():
            batch = queue.take(now)
            if batch:
                del self._queues[key]
                if not queue.empty:
                    self._queues[key] = queue
                return queue, batch
        return None

    def _start(self, queue: _Queue, batch: _Batch) -> None:
        tasks = [task for task in batch.tasks if not task.answer.done()]  # the others have left
        now = time.monotonic()
        if tasks and all(task.deadline <= now for task in tasks):
            _fail(tasks, Overloaded("Run() timeout exceeded while waiting in batching queue"))
        elif tasks:
            try:
                self._call(queue, tasks, now)
            except Exception as error:  # noqa: BLE001  # every error belongs to the callers
                _fail(tasks, error)

    def _call(self, queue: _Queue, tasks: list[_Task], now: float) -> None:
        counts = [task.rows for task in tasks]
        size = queue.parameters.padded(sum(counts))
        if self.observe:
            self.observe(queue.servable.name, [now - task.queued_at for task in tasks], counts, size)
        parts = [task.inputs for task in tasks]
        deadline = max(task.deadline for task in tasks)
        key = (queue.signature.name, queue.outputs, *size_class(parts))
        work = partial(_work, queue, parts, counts, size)
        result = self.call(queue.servable, key, work, None if deadline == math.inf else max(0.0, deadline - now))
        if isinstance(result, list):
            _deliver(tasks, result)
            return
        self._running += 1
        asyncio.ensure_future(result).add_done_callback(partial(self._finished, tasks))

    def _finished(self, tasks: list[_Task], future: "asyncio.Future[list[Arrays]]") -> None:
        self._running -= 1
        try:
            _deliver(tasks, future.result())
        except asyncio.CancelledError:
            _fail(tasks, Cancelled("the call was cancelled"))
        except Exception as error:  # noqa: BLE001  # every error belongs to the callers
            _fail(tasks, error)
        self._dispatch()


def _checked_rows(inputs: Arrays, parameters: Parameters) -> int:
    rows = rows_of(inputs)
    if rows > parameters.max_batch_size:
        raise InvalidInput(f"Task size {rows} is larger than maximum input batch size {parameters.max_batch_size}")
    return rows


def _sizes(rows: int, room: int, parameters: Parameters) -> list[int]:
    """The parts that a request is cut into: what the open batch takes, then whole batches, then the rest."""
    if rows <= room or parameters.max_execution_batch_size is None:
        return [rows]
    sizes = [room] if room else []
    while (rest := rows - sum(sizes)) > 0:
        sizes.append(min(rest, parameters.most_rows))
    return sizes


def _work(queue: _Queue, parts: list[Arrays], counts: list[int], size: int, options: RunOptions) -> list[Arrays]:
    """What a batch thread does: each request's outputs, by the names of the tensors."""
    merged = merge(parts, size, queue.parameters.pad_variable_length_inputs)
    inputs = {name: merged[spec.tensor] for name, spec in queue.signature.inputs.items()}
    outputs = queue.servable.predict(queue.signature, inputs, queue.outputs, options)
    return split({queue.signature.outputs[name].tensor: outputs[name] for name in outputs}, counts, size)


def _deliver(tasks: list[_Task], parts: list[Arrays]) -> None:
    for task, part in zip(tasks, parts, strict=True):
        if not task.answer.done():
            task.answer.set_result({name: part[tensor] for name, tensor in task.fetched.items()})


def _fail(tasks: list[_Task], error: BaseException) -> None:
    for task in tasks:
        if not task.answer.done():
            task.answer.set_exception(error)


async def _rejoined(parts: "list[asyncio.Future[Arrays]]") -> Arrays:
    """The answer to a request that was cut; the first error of a part is the whole's, and the others then cost no call."""
    return _stacked(await gather_or_cancel(parts))


def _stacked(parts: list[Arrays]) -> Arrays:
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
