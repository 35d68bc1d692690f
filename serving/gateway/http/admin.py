"""/livez, /readyz and /metrics on a port of their own, by a thread with an event loop of its own (`--admin-port`).

    main loop ──beats every second──▶ AdminServer ◀──asks── kubelet, Prometheus

Probes are answered here however busy the main loop is. `/livez` still tells of it: 503 once it has stood still for a
minute, for then no request is answered any more and a restart helps; shorter pauses are load, and a restart would harm.
"""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import uvloop

from signet.serving.gateway.http.json_response import json_response
from signet.serving.http.messages import without_body
from signet.serving.http.server import HttpServer, Limits, Reply, Request, Response

log = logging.getLogger(__name__)

STANDSTILL_S = 60.0
"""Seconds without a turn of the main event loop after which `/livez` says no."""

_BEAT_S = 1.0
_LIMITS = Limits(
    head_bytes=1 << 14, body_bytes=1 << 10, request_s=10.0, idle_s=60.0, unread_s=10.0, connections=256, cancels=True
)


class Answers(Protocol):
    """Who answers the probes: `Probes` of one process, or the parent of several."""

    paths: Mapping[bytes, Callable[[Request], Response]]
    """Called in the thread of the port."""


class AdminServer:
    """Answers probes on a bound socket, from `start` to `stop`, in a thread with an event loop of its own.

    `_beaten_at` is written by the main loop's `heartbeat` alone and read here; `_loop` and `_stop` are written by the
    thread before `start` returns.
    """

    def __init__(self, probes: Answers, listener: socket.socket) -> None:
        self._paths, self._listener = probes.paths, listener
        self._beaten_at = time.monotonic()
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="admin", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()
        log.info("probes and metrics also at port %d", self._listener.getsockname()[1])

    async def heartbeat(self) -> None:
        """Run in the main loop for ever, and note that it turns."""
        while True:
            self._beaten_at = time.monotonic()
            await asyncio.sleep(_BEAT_S)

    def stop(self) -> None:
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = HttpServer(self._answer, _LIMITS)
        await server.start(self._listener)
        self._started.set()
        await self._stop.wait()
        await server.stop(0.0)

    def _answer(self, request: Request, reply: Reply) -> None:
        response = self._respond(request)
        reply(response if request.method != "HEAD" else without_body(response))

    def _respond(self, request: Request) -> Response:
        path = request.path.partition(b"?")[0]
        if path not in self._paths:
            return json_response(
                {"error": f"this port answers {', '.join(sorted(map(bytes.decode, self._paths)))}"}, 404
            )
        if request.method not in ("GET", "HEAD"):
            body = json.dumps({"error": "use GET or HEAD"}).encode()
            return Response(405, body, b"Content-Type: application/json\r\nAllow: GET, HEAD\r\n")
        still_s = time.monotonic() - self._beaten_at
        if path == b"/livez" and still_s > STANDSTILL_S:
            return json_response({"live": False, "standstill_s": round(still_s)}, 503)
        return self._paths[path](request)
