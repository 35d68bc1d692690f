"""`signet model-server --processes=N`: the parent of N processes, each with models of its own (`child.py`).

    flags ──▶ N children load the models ──▶ ports open ──▶ connections go to the child with the fewest
    reload, the polled file ──▶ all check ──▶ all switch ──▶ one answer      SIGHUP ──▶ all look
    SIGTERM ──▶ drain everywhere ──▶ no new connections ──▶ calls in flight finish ──▶ exit 0

What is served is the parent's to say: a child that is restarted begins with the configuration that was accepted last. It
takes connections when it has what the others serve, or has found that it cannot have it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import uvloop
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from signet.serving.errors import Unavailable
from signet.serving.model_server import listeners, served_models
from signet.serving.model_server.flags import Flags
from signet.serving.models import model_status
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import VersionStatus
from signet.serving.process import signals
from signet.serving.process.children import Children
from signet.serving.process.concurrency import until
from signet.serving.process.draining import drain
from signet.serving.process.handing_over import GRPC, HTTP, HandingOver
from signet.serving.process.output import say
from signet.serving.process.ports import prepare
from signet.serving.process.supervision import Failures

log = logging.getLogger(__name__)

CHILD = "signet.serving.model_server.child:run"

_LEAVE_S = 90.0
"""Seconds beyond `drain_s` in which a child finishes the calls in flight and frees its models; then it is killed."""
_STATUS_S = 1.0
"""Seconds that a child has to tell the states of its versions; one that does not is left out."""


class Argument(NamedTuple):
    """What each process is handed."""

    flags: Flags
    models: Sequence[ModelConfig]
    """What it serves until it is told otherwise."""
    service_has_started: bool
    """Whether other processes have answered already: then a model that does not load keeps this one from nothing."""
    leave_s: float
    """Seconds after which it ends even with calls in flight, once its parent is gone."""


def run(flags: Flags) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SignetError` for what keeps the service from starting, or from going on."""
    models = served_models.of_flags(flags)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(flags, models))


async def _serve(flags: Flags, models: Sequence[ModelConfig]) -> None:
    await _Service(flags, models).serve()


class _Service:
    """All processes together. For the parent's event loop alone."""

    def __init__(self, flags: Flags, models: Sequence[ModelConfig]) -> None:
        self._flags, self._models = flags, models
        self._failures = Failures()
        self._one_at_a_time = asyncio.Lock()
        """Of configurations."""
        self._children = Children(
            CHILD,
            self._arguments(service_has_started=False),
            {
                "reload": lambda models: self._children.in_loop(self.reload(models)),
                "statuses": lambda model: self._children.in_loop(self.statuses(model)),
            },
        )
        self._children.registry.register(_FailureCounts(self._failures))

    async def serve(self) -> None:
        children, stop, look = self._children, signals.Stop(), asyncio.Event()

        def hung_up() -> None:
            children.tell("look")
            look.set()

        signals.install_handlers(stop, hung_up, children.kill)
        handing_over = HandingOver(lambda: children.recipients)
        children.start()
        polling = None
        try:
            await until(stop, children.first_start)
            if not stop.is_set():
                children.arguments = self._arguments(service_has_started=True)
                self._open(handing_over)
                say(children.cost())
                polling = asyncio.create_task(served_models.poll(self._flags, look, self.reload, self._failures))
                await until(stop, children.failed)
                children.drain()
                log.info("stopping: %g seconds of drain, then calls in flight end", self._flags.drain_s)
                await drain(stop, self._flags.drain_s, lambda: children.connections)
        finally:
            if polling:
                polling.cancel()
            handing_over.stop()
            await children.stop(self._flags.drain_s + _LEAVE_S)

    def _open(self, handing_over: HandingOver) -> None:
        """Open the ports. Raises `UsageError` when one of gRPC's cannot be had."""
        flags = self._flags
        with contextlib.ExitStack() as opened:
            grpc = [listeners.grpc_port(flags.port)] if flags.port else []
            for listener in grpc:
                opened.enter_context(listener)
            if flags.grpc_socket_path:
                grpc.append(opened.enter_context(listeners.grpc_socket(flags.grpc_socket_path)))
            opened.pop_all()
        for listener in grpc:
            prepare(listener)
            handing_over.listen(listener, GRPC)
        listeners.announce_grpc(flags)
        if rest := listeners.rest_port(flags):
            prepare(rest)
            handing_over.listen(rest, HTTP)
            listeners.announce_rest(flags)

    async def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serve these models and no others, in all processes; answers when each that takes connections has them.

        Raises what the first of them says: of labels before anything has changed, of models that do not load afterwards.
        A process that ends meanwhile has no say; it comes back with what was accepted.
        """
        children = self._children
        async with self._one_at_a_time:
            await children.agreed("check", models)
            self._models = models
            children.arguments = self._arguments(service_has_started=True)
            await children.agreed("switch", models)

    async def statuses(self, model: str) -> list[VersionStatus]:
        """The versions of a model as all processes have them."""
        answers = await self._children.ask("statuses", model, _STATUS_S)
        told = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not told:
            raise Unavailable("no process of this service tells the states of its versions; try again")
        return model_status.of_all(told)

    def _arguments(self, *, service_has_started: bool) -> list[Argument]:
        argument = Argument(self._flags, self._models, service_has_started, self._flags.drain_s + _LEAVE_S)
        return [argument] * self._flags.processes


class _FailureCounts(Collector):
    """What fails in the parent itself: the polled file."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    def collect(self) -> Iterator[Metric]:
        yield self._failures.family()
