"""Where and how a call runs: inline, in the event loop's own thread, when it is quick, else in a thread of the pool.

A hop into a thread and back costs about 0.2 ms, several times what a small network takes. What is quick is measured:
per servable, signature, outputs and size class of the inputs. So is the better of two ways to run operations: all in
the calling thread, which is best for small and straight networks, or by TensorFlow's own threads, which is best for
large networks with branches.

    call ──▶ quick: run at once
         └─▶ its model's turn (`turns.py`)? ──▶ thread ──▶ answer; then whoever waits, in turn
              └── no ──▶ waits here, or with whoever asks `may_start` before

A graph with loops runs neither inline nor without its time limit: the values that someone sends, which nobody has
measured, may decide how often it goes round.
"""

import asyncio
import contextlib
import math
import os
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from signet.serving.engine.servable import Servable
from signet.serving.engine.tensorflow_c import RunOptions
from signet.serving.engine.turns import Turns
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

QUICK_S = 300e-6
"""Calls below this run inline; the event loop stands still that long."""

T = TypeVar("T")

_IN_CALLER = RunOptions(in_caller=True)
_RISE = 0.1
"""Share by which a slower call raises an estimate; a faster one counts at once. One call may take a hundred times as long
because another process had the core, or the interpreter's lock: that must not drive those after it into threads."""

_SECOND_LOOK = 0.02
"""Share of calls that go the way that was slower: it may have become the quicker one."""

_FAR_BELOW = 0.01
"""Calls that take less than this share of their time limit may run in the calling thread, where it does nothing."""

_MAX_ESTIMATES = 4096
"""Estimates kept for a servable; callers choose outputs and sizes."""


@dataclass(slots=True, eq=False)
class _Call:
    """A call for a thread. It holds its servable until it has ended, or is given up before it began."""

    servable: Servable
    work: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    started: float = 0.0
    seconds: float = 0.0
    """How long a thread worked on it; written by that thread."""


class Runner:
    """Runs calls of servables for one event loop. A call holds its servable from before it is submitted to its end.

    All methods are for the event loop, which alone touches the turns and what waits. The pool's threads write nothing but
    `Servable.seconds` and their call's `seconds`.
    """

    def __init__(self, threads: int | None = None) -> None:
        """threads: calls that run side by side, and as many again of models that have none running; default: one a core."""
        self.threads = threads or os.cpu_count() or 1
        self._turns = Turns(self.threads, self.threads)
        self._pool = ThreadPoolExecutor(2 * self.threads, thread_name_prefix="engine")
        self._waiting: dict[str, deque[_Call]] = {}
        """Model -> its calls that wait for a thread."""
        self.on_room: Callable[[str], None] | None = None
        """on_room(model): told when a call of a model may start that was refused by `may_start`."""

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
        """The outputs, or something to await that gives them. Raises what TensorFlow says, at once or when awaited.

        beside: not inline, however quick it is: the event loop does not stand still for what nobody waits for.
        `NotFound` is raised for a servable that has been freed.
        """
        key = (signature.name, tuple(outputs), *size_class([inputs]))
        return self.call(servable, key, partial(servable.predict, signature, inputs, outputs), timeout_s, beside=beside)

    def call(
        self,
        servable: Servable,
        key: Hashable,
        work: Callable[[RunOptions], T],
        timeout_s: float | None,
        *,
        beside: bool = False,
    ) -> T | Awaitable[T]:
        """What `work` gives, which runs the servable with the options it is handed. Calls of a key are of a kind.

        Raises `NotFound` for a servable that has been freed.
        """
        options = _choose(servable, key, timeout_s)
        servable.hold()
        if options.in_caller and not beside and servable.seconds.get((key, True), math.inf) < QUICK_S:
            try:
                return _timed(servable, key, work, options)
            finally:
                servable.release()
        call = _Call(
            servable, partial(_timed, servable, key, work, options), asyncio.get_running_loop().create_future()
        )
        if self._turns.may_start(servable.name):
            self._submit(call)
        else:
            self._turns.wait(servable.name)
            self._waiting.setdefault(servable.name, deque()).append(call)
            call.answer.add_done_callback(partial(self._given_up, call))
        return call.answer

    def share(self, model: str) -> int:
        """Threads that a model has while it wants many, beside the others that are in use now; at least 1."""
        return self._turns.share(model)

    def may_start(self, model: str) -> bool:
        """Whether a call of a model would get a thread now. After a no, `on_room` tells when it is the model's turn."""
        if self._turns.may_start(model):
            return True
        self._turns.wait(model)
        return False

    def close(self) -> None:
        """Wait for the calls that run, then end the threads."""
        for call in [call for calls in self._waiting.values() for call in calls]:
            call.servable.release()
        self._waiting.clear()
        self._pool.shutdown()

    def _submit(self, call: _Call) -> None:
        call.started = time.perf_counter()
        try:
            future = self._pool.submit(call.work)
        except BaseException:
            call.servable.release()
            raise
        self._turns.started(call.servable.name)
        loop = call.answer.get_loop()
        # Not when the caller has its answer: it may leave before the thread is done.
        future.add_done_callback(partial(self._thread_done, loop, call))

    def _thread_done(self, loop: asyncio.AbstractEventLoop, call: _Call, future: "Future[Any]") -> None:
        """In the thread."""
        call.seconds = time.perf_counter() - call.started
        call.servable.release()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._ended, call, future)

    def _ended(self, call: _Call, future: "Future[Any]") -> None:
        self._turns.ended(call.servable.name, call.seconds)
        if not call.answer.done():
            error = future.exception()
            if error is None:
                call.answer.set_result(future.result())
            else:
                call.answer.set_exception(error)
        if self._turns.waiting:
            # After the one who waited for this answer, who may have more to do.
            call.answer.get_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        """Let start what waits, in turn, as long as there are threads."""
        while (model := self._turns.next()) is not None:
            calls = self._waiting.get(model)
            if calls:
                call = calls.popleft()
                if not calls:
                    del self._waiting[model]
                self._turns.wait(model)  # with what waits of it besides, here or with who asked
                try:
                    self._submit(call)
                except Exception as error:  # noqa: BLE001  # it belongs to the caller
                    call.answer.set_exception(error)
            elif self.on_room:
                self.on_room(model)

    def _given_up(self, call: _Call, answer: "asyncio.Future[Any]") -> None:
        """A call that had to wait is answered, or its caller has left: then it needs no thread any more."""
        calls = self._waiting.get(call.servable.name)
        if calls and call in calls:
            calls.remove(call)
            if not calls:
                del self._waiting[call.servable.name]
            call.servable.release()


def size_class(parts: Sequence[Arrays]) -> tuple[int, int]:
    """The orders of magnitude of the rows and elements that go into one call: the power of two above each."""
    rows = elements = 0
    for inputs in parts:
        array = next(iter(inputs.values()), None)
        rows += len(array) if array is not None and array.ndim else 1
        for each in inputs.values():
            elements += each.size
    return rows.bit_length(), elements.bit_length()


def _choose(servable: Servable, key: Hashable, timeout_s: float | None) -> RunOptions:
    """The way that was quicker so far; one that has not been tried comes first, TensorFlow's threads before all."""
    pooled = servable.seconds.get((key, False))
    in_caller = servable.seconds.get((key, True), 0.0)
    limit_s = math.inf if timeout_s is None else timeout_s * _FAR_BELOW
    if pooled is None or max(pooled, in_caller) > limit_s or servable.loops:
        return RunOptions(timeout_s=timeout_s)
    better = in_caller <= pooled
    if in_caller > QUICK_S and random.random() < _SECOND_LOOK:  # noqa: S311  # nobody gains by guessing it
        better = not better
    return _IN_CALLER if better else RunOptions(timeout_s=timeout_s)


def _timed(servable: Servable, key: Hashable, work: Callable[[RunOptions], T], options: RunOptions) -> T:
    started = time.perf_counter()
    result = work(options)
    seconds = time.perf_counter() - started
    estimates = servable.seconds
    if len(estimates) >= _MAX_ESTIMATES:
        estimates.clear()
    estimate = estimates.get((key, options.in_caller), seconds)
    estimates[key, options.in_caller] = min(seconds, estimate * (1 + _RISE))
    return result
