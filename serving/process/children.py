"""The children of a service, supervised by their parent: started, handed connections, restarted, drained, counted together.

    start ──▶ STARTING ──takes connections──▶ TAKING ──all is set up──▶ STARTED ──stop──▶ ends
                 ▲ backoff                                                │ ends by itself, or its loop stands still
                 └──────────────────── restarted, counted ◀───────────────┘

A child that ends before all have been set up once ends the service: what keeps it from starting will not go away. Later it
is restarted, with a growing pause, for as long as another one answers.
"""

import asyncio
import contextlib
import enum
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from signet.serving.errors import NotDone, SignetError
from signet.serving.process import child, combining, cores, handing_over
from signet.serving.process.board import KINDS, Board
from signet.serving.process.child import Counts, resident_bytes
from signet.serving.process.conversation import Conversation, Gone, Handler
from signet.serving.process.supervision import Backoff

log = logging.getLogger(__name__)

STANDSTILL_S = 60.0
"""Seconds without a turn of its event loop after which a child is ended and restarted."""

_LOOK_S = 1.0
_COUNTS_S = 1.0
"""Seconds that a child has to tell its counts; after that those told last stand for them."""
_LEAVE_S = 5.0
"""Seconds that a child that has hung up has to end."""
_LASTING_S = 60.0
"""Seconds that a child has to last for the next restart to come as soon as the first."""
_MOST_FAILURES = 5
"""Starts in a row that may fail while no child answers; then the service ends."""


class Phase(enum.Enum):
    """How far a process has come: it loads programs; it takes connections; it is set up; it is gone."""

    STARTING, TAKING, STARTED, ENDED = range(4)


class Child(asyncio.Protocol):
    """One process. The parent's event loop alone touches it."""

    def __init__(self, place: int, children: "Children") -> None:
        self.place, self._children = place, children
        self.phase = Phase.STARTING
        self.state: Mapping[str, Any] = {}
        """What it last told of itself; `ready` says whether connections should go to it."""
        self.error: SignetError | None = None
        """What keeps it from starting, as it told."""
        self.last_told: Counts = {}
        """The counts that have been told of it last."""
        self.started_at = 0.0
        """When it was set up, by the event loop's clock."""
        self.ended = asyncio.Event()
        self._given = [0] * KINDS
        self._connections, theirs = socket.socketpair()
        messages, other = socket.socketpair()
        with theirs, other:
            descriptors = [other.fileno(), theirs.fileno(), children.board_descriptor]
            self.process = subprocess.Popen(  # noqa: S603  # ourselves
                child.command(children.function, place, children.count, descriptors),
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                process_group=0,  # Ctrl-C goes to the parent alone; a session of its own would be scheduled apart from it
            )
        self._connections.setblocking(False)
        self._messages = messages
        self._transport: asyncio.Transport | None = None
        self.conversation = Conversation(
            self._write,
            {
                "taking": lambda _: self._reached(Phase.TAKING),
                "started": self._started,
                "state": self._told_state,
                "failed": partial(setattr, self, "error"),
                "counts": lambda _: children.in_loop(children.counts()),
                **children.handlers,
            },
        )

    async def begin(self) -> None:
        """Hand it what its function takes; from then on it can be told and asked."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=self._messages)

    @property
    def name(self) -> str:
        return f"process {self.place + 1} of {self._children.count} (pid {self.process.pid})"

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self.phase is Phase.ENDED

    @property
    def ready(self) -> bool:
        """Whether connections should go to it."""
        return self.phase is Phase.STARTED and bool(self.state.get("ready"))

    # Connections

    def open(self, kind: int) -> int:
        return self._given[kind] - self._children.board.closed(self.place, kind)

    def give(self, kind: int, connection: socket.socket) -> bool:
        try:
            handing_over.send(self._connections, kind, connection)
        except OSError:  # its queue is full, or it has just died
            return False
        self._given[kind] += 1
        return True

    def give_no_more(self) -> None:
        """Tell the child that there will be no further connection."""
        self._connections.close()

    # Messages

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        # At once: whatever is said later, such as another configuration, comes after the argument that it changes.
        self.conversation.tell("begin", self._children.arguments[self.place])

    def data_received(self, data: bytes) -> None:
        self.conversation.receive(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self.conversation.lost()
        self._connections.close()
        self._children.hung_up(self)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def wait(self) -> None:
        """Until the process is gone; it is killed if it does not go."""
        deadline = asyncio.get_running_loop().time() + _LEAVE_S
        while self.process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                self.kill()
            await asyncio.sleep(0.01)

    def why_ended(self) -> str:
        code = self.process.returncode
        return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise BrokenPipeError
        self._transport.write(data)

    def _reached(self, phase: Phase) -> None:
        self.phase = phase
        self._children.changed()

    def _started(self, value: Any) -> None:
        self.started_at = asyncio.get_running_loop().time()
        self._reached(Phase.STARTED)
        self._children.child_started(self, value)

    def _told_state(self, state: Mapping[str, Any]) -> None:
        self.state = state
        self._children.changed()


class Children:
    """All children of a service. For the parent's event loop, which alone touches them, once it runs."""

    def __init__(
        self,
        function: str,
        arguments: Sequence[Any],
        handlers: Mapping[str, Handler] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """function: what each child calls, such as `package.module:name`. arguments: for each child, what it takes; who owns
        this may replace them later, for children that are restarted.

        handlers: answer what else children ask. on_change: called when the state of a child is another.
        """
        self.function, self.arguments, self.count = function, list(arguments), len(arguments)
        self.handlers = handlers or {}
        self._on_change = on_change
        self.board_descriptor = Board.create(self.count)
        self.board = Board(self.board_descriptor, self.count)
        self.all: list[Child] = []
        self.first_start: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        """What each child told when it was set up first; or the error of one that could not be."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Has an error when the service cannot go on."""
        self.stopping = self._draining = False
        self._told: dict[int, Any] = {}
        self._backoff = [Backoff() for _ in arguments]
        self._failures = [0] * self.count
        """Starts in a row that failed, of each place."""
        self._restarts = 0
        self._ended: Counts = {}
        """What children that have ended had counted."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self.registry = CollectorRegistry()
        """What the parent itself counts."""
        self.registry.register(_Telling(self._metrics))

    @property
    def ready(self) -> list[Child]:
        return [one for one in self.all if one.ready]

    @property
    def recipients(self) -> list[Child]:
        """Those to whom connections go: the ready ones; while there are none, whoever takes connections."""
        return self.ready or [one for one in self.all if one.phase in (Phase.TAKING, Phase.STARTED)]

    def start(self) -> None:
        self._do(self._watch())
        for place in range(self.count):
            self._start(place)

    def tell(self, kind: str, value: Any = None) -> None:
        """Tell all children."""
        for one in self.all:
            with contextlib.suppress(OSError):
                one.conversation.tell(kind, value)

    async def ask(self, kind: str, value: Any = None, timeout_s: float | None = None) -> list[Any]:
        """The answers of all children that are set up, or are when others have answered; an exception where one has failed.

        Those that are still starting are told, too. Who has ended, or does not answer in time, gives no answer.
        """
        loop = asyncio.get_running_loop()
        asked = {one: asyncio.wrap_future(one.conversation.ask(kind, value)) for one in self.all}
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while pending := [future for one, future in asked.items() if one.phase is Phase.STARTED and not future.done()]:
            left_s = None if deadline is None else deadline - loop.time()
            if left_s is not None and left_s <= 0:
                break
            await asyncio.wait(pending, timeout=left_s)
        answers = []
        for one, future in asked.items():
            if not future.done():
                future.cancel()
            elif not isinstance(error := future.exception(), Gone) and one.phase is Phase.STARTED:
                answers.append(error or future.result())
        return answers

    async def agreed(self, kind: str, value: Any = None) -> None:
        """Ask, until all have answered. Raises the first error that is an answer."""
        for answer in await self.ask(kind, value):
            if isinstance(answer, BaseException):
                raise answer

    @property
    def connections(self) -> int:
        """How many connections the children have."""
        return sum(one.open(kind) for one in self.all if not one.gone for kind in range(KINDS))

    def drain(self) -> None:
        """Have all children answer on while others turn away; one that ends is not replaced any more."""
        self._draining = True
        self.tell("drain")

    async def stop(self, patience_s: float) -> None:
        """Have all children stop gracefully, and wait until they are gone; after so many seconds they are killed."""
        self.stopping = True
        for one in self.all:
            if one.phase is Phase.STARTING:
                one.kill()  # nothing is in flight there
            one.give_no_more()
        self.tell("stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                for one in self.all:
                    await one.ended.wait()
        self.kill()
        for one in self.all:
            await one.ended.wait()
        for task in list(self._tasks):
            task.cancel()
        os.close(self.board_descriptor)

    def cost(self) -> str:
        """A sentence about what the processes take."""
        memory = " and ".join(f"{resident_bytes(one.process.pid) >> 20}" for one in self.all)
        threads = cores.threads(self.count)
        return f"{self.count} processes take {memory} MB of memory; each runs operations on {threads} threads."

    def kill(self) -> None:
        """End all at once."""
        for one in self.all:
            if one.process.poll() is None:
                one.kill()

    async def counts(self) -> Counts:
        """What all processes have counted since the start of the service, by group."""
        asked = {one: one.conversation.ask("counts") for one in self.all if one.phase in (Phase.TAKING, Phase.STARTED)}
        if asked:
            futures = [asyncio.wrap_future(future) for future in asked.values()]
            await asyncio.wait(futures, timeout=_COUNTS_S)
            for (one, _), future in zip(asked.items(), futures, strict=True):
                if not future.done():
                    future.cancel()
                elif not future.cancelled() and not future.exception() and one.phase is not Phase.ENDED:
                    one.last_told = future.result()
        living = [one.last_told for one in self.all if one.phase is not Phase.ENDED and one.last_told]
        groups = dict.fromkeys(group for counts in (*living, self._ended) for group in counts)
        everything = [part for counts in living for part in counts.values()]
        result = {}
        for group in {"metrics": None, **groups}:
            parts = [counts.get(group, []) for counts in living]
            ended = combining.still_told(self._ended.get(group, []), everything)
            own = combining.families(self.registry) if group == "metrics" else []
            result[group] = combining.combine([*parts, ended, own])
        return result

    def in_loop(self, work: Any) -> Any:
        """A `concurrent.futures.Future` of a coroutine that runs in this event loop."""
        return asyncio.run_coroutine_threadsafe(work, asyncio.get_running_loop())

    # What children report

    def changed(self) -> None:
        self._on_change()

    def child_started(self, one: Child, value: Any) -> None:
        self._failures[one.place] = 0
        self._told[one.place] = value
        if self.first_start.done():
            log.info("%s answers again", one.name)
        elif len(self._told) == self.count:
            self.first_start.set_result([self._told[place] for place in range(self.count)])

    def hung_up(self, one: Child) -> None:
        """A child has closed its end, or died."""
        self._do(self._bury(one))

    async def _bury(self, one: Child) -> None:
        was = one.phase
        await one.wait()
        one.phase = Phase.ENDED
        ended = [{group: combining.lasting(told) for group, told in one.last_told.items()}, self._ended]
        groups = {group for counts in ended for group in counts}
        self._ended = {group: combining.combine([counts.get(group, []) for counts in ended]) for group in groups}
        one.ended.set()
        self.changed()
        if self.stopping or self._draining:
            return
        self._failures[one.place] += was is not Phase.STARTED
        hopeless = one.error is not None or self._failures[one.place] >= _MOST_FAILURES
        if not self.first_start.done() or (hopeless and not self.ready):
            self._end(one)
        else:
            if one.started_at and asyncio.get_running_loop().time() - one.started_at > _LASTING_S:
                self._backoff[one.place].reset()
            pause_s = self._backoff[one.place].failed()
            why = f"{one.why_ended()}: {one.error}" if one.error else one.why_ended()
            log.error("%s has ended with %s; it is restarted in %g s", one.name, why, pause_s)
            await asyncio.sleep(pause_s)
            if not (self.stopping or self._draining):
                self._restarts += 1
                self._start(one.place)

    def _end(self, one: Child) -> None:
        """The service cannot go on without this child."""
        error = one.error or NotDone(f"{one.name} ended with {one.why_ended()} before it was ready; its log says more")
        future = self.failed if self.first_start.done() else self.first_start
        if not future.done():
            future.set_exception(error)

    def _start(self, place: int) -> None:
        self.board.clear(place)
        one = Child(place, self)
        self.all[place : place + 1] = [one]
        self._do(one.begin())
        self.changed()

    async def _watch(self) -> None:
        """Find children whose event loops stand still."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for one in self.all:
                if one.phase is not Phase.ENDED and self.board.still_s(one.place) > STANDSTILL_S:
                    log.error("%s has stood still for %g s: it is ended", one.name, STANDSTILL_S)
                    one.kill()

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _metrics(self) -> Sequence[Metric]:
        restarts = CounterMetricFamily("signet_process_restarts", "Times that a process of this service was restarted.")
        restarts.add_metric([], self._restarts)
        processes = GaugeMetricFamily("signet_processes", "Processes of this service, by state.", labels=["state"])
        processes.add_metric(["ready"], len(self.ready))
        processes.add_metric(["not_ready"], self.count - len(self.ready))
        text = "Memory of each process of this service, `parent` for the one that hands over connections."
        memory = GaugeMetricFamily("signet_process_resident_memory_bytes", text, labels=["process"])
        memory.add_metric(["parent"], resident_bytes(os.getpid()))
        for one in self.all:
            memory.add_metric([str(one.place + 1)], resident_bytes(one.process.pid))
        return [restarts, processes, memory]


class _Telling(Collector):
    def __init__(self, metrics: Callable[[], Sequence[Metric]]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence[Metric]:
        return self._metrics()
