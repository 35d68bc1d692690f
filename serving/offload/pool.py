"""Work that would hold up the event loop, such as reading a body of megabytes: in processes beside it.

    await pool.call(function, …)                      one function, in whichever worker is free
    async with pool.session() as worker:              one worker, several functions:
        await worker.step(first, …)                   each gets a dict first, in which one may keep things for the next

To parse JSON or to turn lists into arrays keeps the interpreter's lock from beginning to end: in a thread it would hold up
all others just as well. Workers are started when they are first needed, end when they are idle, and are killed when nobody
waits for their answer any more. One that dies is replaced; whoever waited for it gets `Unavailable`.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from signet.serving.errors import Overloaded, Unavailable
from signet.serving.offload import wire
from signet.serving.offload.worker import FORGET, command, too_large

LARGE_BYTES = 1 << 17
"""A body from here on is read by a worker. To hand one over costs half a millisecond, which JSON of this size takes anyway."""
LARGE_ELEMENTS = 1 << 16
"""Outputs with so many elements in all are written by a worker."""

_MOST_WORKERS = 4
_IDLE_S = 30.0
_WAITING = 64
"""Functions that wait for a worker, at most."""

T = TypeVar("T")


class Died(Unavailable):
    """The worker died before it had answered."""

    by_fault: bool = False
    """Whether a fault of its own code ended it, such as memory that is not there: it read what it should not have believed."""


_FAULTS = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE, -signal.SIGSYS)


class Bug(Exception):
    """A function raised what it should not; the message is its traceback."""


class Offload:
    """The worker processes of one event loop, and the queue for them.

    All fields are read and written by that loop alone. A thread of `_threads` waits for the answer of one worker, or works
    itself; there are always some that do not wait.
    """

    def __init__(self, workers: int | None = None, refused: Callable[[], None] = lambda: None) -> None:
        """workers: default: one a core, four at most. refused: called when too many wait."""
        self._most = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
        self._refused = refused
        self._places = asyncio.Semaphore(self._most)
        self._waiting = 0
        """Callers in the queue; beyond `_WAITING` they are refused (load shedding)."""
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        """Workers that a session has; each worker is in one of the two, or is being ended."""
        self._threads = ThreadPoolExecutor(2 * self._most, thread_name_prefix="offload")

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function gives; it and its arguments can be pickled. Raises its `ServingError`, `Overloaded`,
        `Died` when the worker does and `Bug` for all else. When this is cancelled the worker is killed."""
        async with self.session() as session:
            return await session.call(function, *arguments)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """What the function gives, called in a thread of this process: for some milliseconds that leave others the
        interpreter's lock. Raises what it raises. When this is cancelled it runs to its end all the same."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator["WorkerSession"]:
        """A worker of one's own for a block. Raises `Overloaded` when too many wait for one."""
        session = await self.acquire()
        try:
            yield session
        finally:
            session.release()

    async def acquire(self) -> "WorkerSession":
        """A worker of one's own, until it is released. Raises `Overloaded` when too many wait for one."""
        if self._places.locked() and self._waiting >= _WAITING:
            self._refused()
            raise Overloaded(f"{self._waiting} large bodies wait to be read or written; try again in a second")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        worker = self._idle.pop() if self._idle else _Worker()
        self._busy.add(worker)
        return WorkerSession(self, worker)

    async def close(self) -> None:
        """End the workers. Those that work are killed: whoever still waits for one gets `Unavailable`."""
        for worker in (*self._idle, *self._busy):
            self._threads.submit(worker.reap)
        self._idle.clear()
        await asyncio.to_thread(self._threads.shutdown)

    def _give_back(self, worker: "_Worker") -> None:
        self._places.release()
        self._busy.discard(worker)
        if not worker.usable:
            self._bury(worker)
            return
        worker.forget()
        self._idle.append(worker)
        worker.given_back += 1
        asyncio.get_running_loop().call_later(_IDLE_S, self._retire, worker, worker.given_back)

    def _retire(self, worker: "_Worker", given_back: int) -> None:
        if worker in self._idle and worker.given_back == given_back:
            self._idle.remove(worker)
            self._bury(worker)

    def _bury(self, worker: "_Worker") -> None:
        with contextlib.suppress(RuntimeError):  # `close` has buried all
            self._threads.submit(worker.reap)


class WorkerSession:
    """One worker that one caller has, until it is released."""

    def __init__(self, pool: Offload, worker: "_Worker") -> None:
        self._pool = pool
        self._worker: _Worker | None = worker
        self._asking = False
        """Whether the worker is at work for this session."""

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function gives, called in the worker; raises as `Offload.call` does."""
        return await self._ask(function, arguments, step=False)

    async def step(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function gives, called in the worker with the session's `StepState` first; raises as `call` does."""
        return await self._ask(function, arguments, step=True)

    async def _ask(self, function: Callable[..., T], arguments: tuple[Any, ...], *, step: bool) -> T:
        worker = self._worker
        assert worker is not None, "it is released"
        message = (function, wire.out_of_band(arguments), step)
        self._asking = True
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool._threads, worker.ask, message)
        except asyncio.CancelledError:
            if self._worker:  # or it is somebody else's by now
                self._worker.end()
            raise
        finally:
            self._asking = False

    def release(self) -> None:
        """Let others have the worker; what it keeps is forgotten. One that is at work for this session is killed."""
        worker, self._worker = self._worker, None
        if worker:
            if self._asking:
                worker.end()
            self._pool._give_back(worker)


class _Worker:
    """A process, started with its first message.

    `ask` is for one thread of the pool at a time, `reap` for any, the rest for the event loop. `_process`, `_connection`
    and `_ended` are written under `_lock`, because the loop may end a worker while a thread starts it. `usable` is only
    ever set to False, by any of them.
    """

    def __init__(self) -> None:
        self.usable = True
        self.given_back = 0
        """How often a caller has given it back; tells a timer whether it has worked since."""
        self._lock = threading.Lock()
        self._ended = False
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def ask(self, message: Any) -> Any:
        """Send a message and wait for the answer."""
        try:
            connection = self._connection or self._start()
            wire.send(connection, message)
            kind, value, last = wire.receive(connection)
        except (OSError, wire.Ended) as error:
            self.reap()
            if self._process and self._process.returncode == -signal.SIGABRT:
                raise too_large() from error  # where code in Rust gets no memory it aborts
            died = Died("the process that reads and writes large bodies has died; try again")
            died.by_fault = self._process is not None and self._process.returncode in _FAULTS
            raise died from error
        if last:
            self.usable = False
        if kind == "ok":
            return value
        try:
            raise value if kind == "error" else Bug(value)
        finally:
            del value  # it leads to this frame, and so to the body; both would wait for the garbage collector

    def forget(self) -> None:
        """Have the process let go what a session's functions kept."""
        if self._connection:
            try:
                wire.send(self._connection, FORGET)
            except OSError:
                self.usable = False

    def end(self) -> None:
        """Kill it, whatever it does; a thread that waits for its answer gets `Unavailable`."""
        self.usable = False
        with self._lock:
            self._ended = True
            if self._process:
                self._process.kill()
            if self._connection:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _start(self) -> socket.socket:
        with self._lock:
            if self._ended:
                raise wire.Ended
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # ourselves
                    command(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C goes to the server alone; a session of its own would be scheduled apart from it
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
            self._connection = ours
            return ours

    def reap(self) -> None:
        """Kill it, and wait until it is gone."""
        self.end()
        if self._process:
            self._process.wait()
        if self._connection:
            self._connection.close()
