"""What probes and Prometheus ask: alive, ready, metrics. Told from memory, by any thread.

One process of several is asked for all of them: it asks its parent (`Parent.told`), which asks each for its `counts`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from signet.serving.gateway.core.backend import Backend
from signet.serving.gateway.core.readiness import Readiness
from signet.serving.gateway.http.json_response import json_response, metrics_response, ready_response, wants_openmetrics
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.statistics import Statistics
from signet.serving.http.server import Request, Response
from signet.serving.process import combining
from signet.serving.process.child import Counts, Parent


class Probes:
    """The answers of /livez, /readyz and /metrics of one gateway. Any thread may ask; `_scraping` keeps scrapes apart."""

    def __init__(
        self, backend: Backend, readiness: Readiness, metrics: Metrics, statistics: Statistics, parent: Parent | None
    ) -> None:
        """parent: of this process, where it is one of several."""
        self._statistics, self._parent = statistics, parent
        self._backend, self._readiness, self._metrics = backend, readiness, metrics
        self._scraping = threading.Lock()
        self.paths: Mapping[bytes, Callable[[Request], Response]] = {
            b"/livez": lambda _: self.livez(),
            b"/readyz": lambda _: self.readyz(),
            b"/metrics": lambda request: self.exposition(request.headers.get(b"accept")),
        }

    def livez(self) -> Response:
        """200 while the process works. Restart it when this fails."""
        return json_response({"live": True})

    def readyz(self) -> Response:
        """200 when each model declared or there at the start has been served and no stop is under way; else 503, and why."""
        return ready_response(self._readiness.service or self._readiness.state())

    async def service_exposition(self, accept: bytes | None) -> Response:
        """The metrics of all processes of this service. accept: what the scraper reads, as it says."""
        if self._parent is None:
            return self.exposition(accept)
        openmetrics = wants_openmetrics(accept)
        text = combining.text(await self._parent.told("metrics"), openmetrics=openmetrics)
        return metrics_response(text, openmetrics=openmetrics)

    def exposition(self, accept: bytes | None) -> Response:
        """The metrics of this process, as Prometheus scrapes them; they cost no I/O. accept: as above."""
        openmetrics = wants_openmetrics(accept)
        with self._up_to_date():
            return metrics_response(self._metrics.exposition(openmetrics=openmetrics), openmetrics=openmetrics)

    def counts(self) -> Counts:
        """All that this process counts, to be added to what others count."""
        with self._up_to_date():
            return {"metrics": combining.families(self._metrics.registry), "statistics": self._statistics.families()}

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """No other scrape meanwhile, and the states of the versions as they are now."""
        with self._scraping:
            models = self._backend.models
            self._metrics.keep_only(models)
            for model in models:
                self._metrics.set_states(model, self._backend.last_statuses(model))
            yield
