"""What OpenTelemetry's own variables say that concerns spans: which program they are of, and how to reach the collector.

OTEL_SERVICE_NAME=shop, OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod,… ──▶ resource
OTEL_EXPORTER_OTLP_HEADERS=api-key=…, OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem      ──▶ headers, ca_file

A variable with `_TRACES` in it, such as OTEL_EXPORTER_OTLP_TRACES_HEADERS, goes before the one without.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from signet.serving.errors import UsageError


class OtelVariables(NamedTuple):
    """What they say."""

    resource: Mapping[str, str]
    headers: Mapping[str, str]
    ca_file: str
    """PEM roots of the collector's certificate; empty: the usual ones."""


def read(environ: Mapping[str, str], service_name: str) -> OtelVariables:
    """service_name: where the variables name none. Raises `UsageError` for a list that is none."""
    resource = {"service.name": service_name, **_pairs(environ, "OTEL_RESOURCE_ATTRIBUTES")}
    if name := environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    return OtelVariables(
        resource,
        _pairs(environ, _first(environ, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")),
        environ.get(_first(environ, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"), ""),
    )


def _first(environ: Mapping[str, str], special: str, general: str) -> str:
    return special if environ.get(special) else general


def _pairs(environ: Mapping[str, str], variable: str) -> dict[str, str]:
    """The entries of `key=value,key=value`, whose values may have escapes with %."""
    pairs = {}
    for entry in environ.get(variable, "").split(","):
        key, equals, value = entry.partition("=")
        if not entry.strip():
            continue
        if not equals or not key.strip():
            raise UsageError(f"{variable} has an entry that is no key=value")  # without it: it may be a secret
        pairs[key.strip()] = unquote(value.strip())
    return pairs
