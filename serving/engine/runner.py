"""Where and how a call runs: inline, in the event loop's own thread, when it is quick, else in a thread of the pool.

A hop into a thread and back costs about 0.2 ms, several times what a small network takes. What is quick is measured:
per servable, signature, outputs and size class of the inputs. So is the better of two ways to run operations: all in
the calling thread, which is best for small and straight networks, or by TensorFlow's own threads, which is best for
large networks with branches.

A graph with loops runs neither inline nor without its time limit: the values that someone sends, which nobody has
measured, may decide how often it goes round.
"""

import asyncio
import math
import os
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from signet.serving.engine.servable import Servable
from signet.serving.engine.tensorflow_c import RunOptions
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


class Runner:
    """Runs calls of servables for one event loop. A call holds its servable from before it is submitted to its end.

    `run` and `call` are for the event loop. The pool's threads write nothing but `Servable.seconds`.
    """

    def __init__(self, threads: int | None = None) -> None:
        """threads: calls that run side by side; default: one a core."""
        self.threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="engine")

    def run(
        self,
        servable: Servable,
        signature: Signature,
        inputs: Arrays,
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Arrays | Awaitable[Arrays]:
        """The outputs, or something to await that gives them. Raises what TensorFlow says, at once or when awaited.

        `NotFound` is raised for a servable that has been freed.
        """
        key = (signature.name, tuple(outputs), *size_class([inputs]))
        return self.call(servable, key, partial(servable.predict, signature, inputs, outputs), timeout_s)

    def call(
        self, servable: Servable, key: Hashable, work: Callable[[RunOptions], T], timeout_s: float | None
    ) -> T | Awaitable[T]:
        """What `work` gives, which runs the servable with the options it is handed. Calls of a key are of a kind.

        Raises `NotFound` for a servable that has been freed.
        """
        options = _choose(servable, key, timeout_s)
        servable.hold()
        if options.in_caller and servable.seconds.get((key, True), math.inf) < QUICK_S:
            try:
                return _timed(servable, key, work, options)
            finally:
                servable.release()
        try:
            future = self._pool.submit(_timed, servable, key, work, options)
        except BaseException:
            servable.release()
            raise
        # Not when the caller has its answer: it may leave before the thread is done.
        future.add_done_callback(lambda _: servable.release())
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for the calls that run, then end the threads."""
        self._pool.shutdown()


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
