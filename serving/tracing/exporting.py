"""Starts what brings spans to a collector. OpenTelemetry's messages and httpx are imported here, and not without it."""

import os
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from signet.serving.errors import UsageError
from signet.serving.tracing import otel_variables

if TYPE_CHECKING:
    from signet.serving.tracing.exporter import Exporter

FLUSH_S = 3.0
"""Seconds that the last spans have to reach the collector when a program stops."""


def start(
    url: str, service_name: str, environ: Mapping[str, str], version: str, dropped: Callable[[str, int], None]
) -> "Exporter":
    """A started exporter. service_name: what spans are of, unless OpenTelemetry's variables say it. dropped: see `Exporter`.

    Raises `UsageError` for an address that is none, and without the extra `otlp`.
    """
    try:
        from signet.serving.tracing import collector  # noqa: PLC0415
        from signet.serving.tracing.exporter import Exporter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"otlp needs {error.name}: pip install 'signet-serving[otlp]'") from error
    variables = otel_variables.read(environ, service_name)
    resource: dict[str, str | int | float | bool] = {
        "service.version": version,
        "service.instance.id": str(uuid.uuid4()),
        "process.pid": os.getpid(),
        **variables.resource,
    }
    to = collector.Collector(collector.address(url), variables.headers, variables.ca_file)
    exporter = Exporter(to, resource, version, dropped)
    exporter.start()
    return exporter
