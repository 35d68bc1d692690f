"""Three model servers with a door each, and a gateway in front of them."""

import asyncio
import signal
from contextlib import AbstractContextManager
from typing import Any

from tests import servers
from tests.bench.faults.faulty_server import Door, Relay


class Place:
    """One model server of `two_in`, its relay and its door."""

    def __init__(self) -> None:
        self.port = servers.free_port()
        self.relay, self.door = Relay(f"127.0.0.1:{self.port}"), Door(0)
        self._running: AbstractContextManager[servers.Program] | None = None
        self._program: servers.Program | None = None

    async def start(self, delay_s: float) -> None:
        """Start all three."""
        await self.start_program()
        self.relay.delay_s = delay_s
        self.door = Door(await self.relay.start())
        await self.door.open()

    async def start_program(self, model: str = "two_in") -> None:
        """A model server that serves a model under the name of two_in, version 1."""
        base = servers.GOLDEN_MODELS / model
        arguments = (f"--port={self.port}", "--model_name=two_in", f"--model_base_path={base}")
        self._running = servers.program("model-server", *arguments)
        self._program = await asyncio.to_thread(self._running.__enter__)
        await asyncio.to_thread(self._program.read_until, "Running gRPC ModelServer")

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        assert self._program is not None, "it runs"
        self._program.process.send_signal(number)

    def stop(self) -> None:
        """SIGKILL."""
        running: Any = self._running
        if running:
            running.__exit__(None, None, None)
        self._running = None

    async def close(self) -> None:
        """End all three."""
        await self.door.close()
        await self.relay.stop()
        self.stop()
