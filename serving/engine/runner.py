"""Where a call runs: inline, in the event loop's own thread, when it is quick, else in a thread of the pool.

A hop into a thread and back costs about 0.2 ms, several times what a small network takes. What is quick is measured:
per servable, signature and number of rows.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor

from serving.engine.servable import Servable
from serving.engine.tensorflow_c import RunOptions
from serving.signature import Signature
from serving.tensors import Arrays

QUICK_S = 300e-6
"""Calls below this run inline; the event loop stands still that long."""

_INLINE = RunOptions(in_caller=True)
_UNKNOWN_S = 1.0
_RISE = 0.1
"""Weight of a slow call in the estimate; a fast one counts at once, so that noise does not drive calls into threads."""


class Runner:
    """Runs calls of acquired servables for one event loop."""

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
        """The outputs, or something to await that gives them. Raises what TensorFlow says, at once or when awaited."""
        key = (signature.name, _rows(inputs).bit_length())
        if servable.seconds.get(key, _UNKNOWN_S) < QUICK_S:
            return _timed(servable, key, signature, inputs, outputs, _INLINE)
        options = RunOptions(timeout_s=timeout_s)
        return asyncio.get_running_loop().run_in_executor(
            self._pool, _timed, servable, key, signature, inputs, outputs, options
        )

    def close(self) -> None:
        """Wait for the calls that run, then end the threads."""
        self._pool.shutdown()


def _rows(inputs: Arrays) -> int:
    array = next(iter(inputs.values()), None)
    return len(array) if array is not None and array.ndim else 1


def _timed(
    servable: Servable,
    key: tuple[str, int],
    signature: Signature,
    inputs: Arrays,
    outputs: Sequence[str],
    options: RunOptions,
) -> Arrays:
    started = time.perf_counter()
    result = servable.predict(signature, inputs, outputs, options)
    seconds = time.perf_counter() - started
    estimate = servable.seconds.get(key, seconds)
    servable.seconds[key] = min(seconds, estimate + _RISE * (seconds - estimate))
    return result
