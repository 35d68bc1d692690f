"""What probes and Prometheus ask: alive, ready, metrics. Told from memory, by any thread."""

import json
import threading
from collections.abc import Callable

from signet.serving.gateway.core.backend import Backend
from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.http.server import Response

_JSON = b"Content-Type: application/json\r\n"
_TEXT = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"


class Probes:
    """The answers of /livez, /readyz and /metrics of one gateway. Any thread may ask; `_scraping` keeps scrapes apart."""

    def __init__(self, backend: Backend, readiness: Readiness, metrics: Metrics) -> None:
        self._backend, self._readiness, self._metrics = backend, readiness, metrics
        self._scraping = threading.Lock()
        self.paths: dict[bytes, Callable[[], Response]] = {
            b"/livez": self.livez,
            b"/readyz": self.readyz,
            b"/metrics": self.exposition,
        }

    def livez(self) -> Response:
        """200 while the process works. Restart it when this fails."""
        return json_response({"live": True})

    def readyz(self) -> Response:
        """200 when each model declared or there at the start has been served and no stop is under way; else 503, and why."""
        backend, readiness = self._backend, self._readiness
        known = {"draining": readiness.draining, "models": backend.models, "missing": backend.unready()}
        ready = readiness.ready
        return json_response({"ready": ready, **known}, 200 if ready else 503)

    def exposition(self) -> Response:
        """The metrics, as Prometheus scrapes them; they cost no I/O."""
        with self._scraping:
            models = self._backend.models
            self._metrics.keep_only(models)
            for model in models:
                self._metrics.set_states(model, self._backend.last_statuses(model))
            return Response(200, self._metrics.exposition(), _TEXT)


def json_response(values: dict[str, object], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(values, separators=(",", ":")).encode(), _JSON)
