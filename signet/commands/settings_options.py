"""The options of `signet serve`: one for each setting, with the setting's own type, limits and words.

    Settings.model_fields ──parameters──▶ --http-port <int>  Port of the HTTP API … [env: SIGNET_HTTP_PORT; default: 8080]

A variable is read by `Settings` itself, so an option that is not given is None here. Only `serve` imports this: it takes
pydantic, which no other command does.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from signet.serving.gateway.settings import DEFAULT_MODELS_DIR, Settings, variable_of

SECTIONS = {
    "What is served": (
        *("models_dir", "model_store", "store_poll_s", "model_config_file", "models", "poll_s", "allow_missing"),
        *("tags", "allow_ops", "release_check"),
    ),
    "Where it answers": ("host", "http_port", "grpc_port", "admin_port", "grpc", "grpc_transport", "cors_origins"),
    "Who may ask": ("keys", "insecure", "tls_cert_file", "tls_key_file", "tls_client_ca_file"),
    "Model servers behind it": (
        *("backend", "write_labels", "backend_ca_file", "backend_cert_file", "backend_key_file", "hedge_after"),
    ),
    "Speed and limits": (
        *("processes", "request_timeout_s", "batch_max_rows", "batch_models", "max_body_bytes", "max_in_flight"),
        *("max_buffered_bytes", "max_connections", "max_connections_per_address"),
    ),
    "Logs and traces": ("log_level", "log_format", "access_log", "access_log_file", "otlp", "otlp_sample"),
    "Request log": (
        *("request_log", "request_log_sample", "request_log_redact", "request_log_file_bytes", "request_log_file_s"),
        *("request_log_max_bytes", "request_log_request_bytes", "request_log_spool"),
    ),
    "The end": ("drain_s", "shutdown_s"),
}
"""Heading of the help -> the settings below it; each setting has one."""

_WORDS = {"models_dir", "processes"}
"""Settings that take other words than their type says: an address, `auto`."""
_METAVARS = {"processes": "N|auto", "otlp": "URL", "host": "ADDRESS", "models_dir": "FOLDER|ADDRESS"}
_DEFAULTS = {"models_dir": DEFAULT_MODELS_DIR}


def parameters() -> Iterator[inspect.Parameter]:
    """A parameter for each setting, section by section, as typer reads them; None where it is not given."""
    for section, names in SECTIONS.items():
        for name in names:
            option = typer.Option(*_flags(name), **_shown(name, section))
            kind: Any = Annotated[_kind(name) | None, option]
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _flags(name: str) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    return [f"{flag}/--no-{flag[2:]}"] if _field(name).annotation is bool else [flag]


def _shown(name: str, section: str) -> dict[str, Any]:
    field = _field(name)
    limits = {limit: _limit(field, limit) for limit in ("ge", "le")} if name not in _WORDS else {}
    default = _DEFAULTS.get(name) or field.default
    default = {True: "on", False: None}[default] if isinstance(default, bool) else default
    told = f"; default: {default}" if default not in (None, "") else ""
    return {
        "help": f"{_said(field)}  [env: {variable_of(name)}{told}]",
        "metavar": _METAVARS.get(name),
        "min": limits.get("ge"),
        "max": limits.get("le"),
        "rich_help_panel": section,
        "show_default": False,
    }


def _said(field: FieldInfo) -> str:
    """What the setting's docstring says, with other settings called as options are."""
    text = " ".join((field.description or "").split())
    return re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda match: _option_of(match[0]), text)


def _option_of(word: str) -> str:
    return f"--{word.replace('_', '-')}" if word in Settings.model_fields else word


def _kind(name: str) -> Any:
    """The type that is written on the command line."""
    annotation = _field(name).annotation
    if name in _WORDS:
        return str
    inner = [one for one in get_args(annotation) if one is not type(None)]
    optional = type(None) in get_args(annotation)
    kind = inner[0] if optional and get_origin(annotation) is not None else annotation
    return Path if kind is Path else kind


def _limit(field: FieldInfo, name: str) -> float | None:
    return next((getattr(limit, name) for limit in field.metadata if hasattr(limit, name)), None)


def _field(name: str) -> FieldInfo:
    return Settings.model_fields[name]
