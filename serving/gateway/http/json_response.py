"""Answers in JSON, and in Prometheus's text, of whoever tells of a service rather than of a model."""

import json
from collections.abc import Mapping
from typing import Any

from signet.serving.http.messages import Response

_JSON = b"Content-Type: application/json\r\n"
_OPENMETRICS = b"Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
_TEXT = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"


def json_response(values: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(values, separators=(",", ":")).encode(), _JSON)


def ready_response(state: Mapping[str, Any]) -> Response:
    """The answer of /readyz: 200 when a service is ready, else 503."""
    return json_response(state, 200 if state["ready"] else 503)


def wants_openmetrics(accept: bytes | None) -> bool:
    """Whether a scraper that sends this `Accept` reads OpenMetrics, which has exemplars; Prometheus does."""
    return accept is not None and b"application/openmetrics-text" in accept


def metrics_response(text: bytes, *, openmetrics: bool) -> Response:
    """The answer of /metrics."""
    return Response(200, text, _OPENMETRICS if openmetrics else _TEXT)
