"""gRPC's channel arguments of a server, `name=value,name=value`, and what they mean for a server of our own.

"grpc.max_connection_age_ms=2000,b=c" ──▶ {"grpc.max_connection_age_ms": 2000, "b": "c"} ──▶ ServerLimits(age_s=2.0), ["b"]
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.grpc_transport.server_limits import ServerLimits

_COUNTS = {
    "grpc.max_receive_message_length": "message_bytes",
    "grpc.max_metadata_size": "metadata_bytes",
    "grpc.max_concurrent_streams": "connection_calls",
}
_MILLISECONDS = {
    "grpc.server_handshake_timeout_ms": "handshake_s",
    "grpc.max_connection_idle_ms": "idle_s",
    "grpc.max_connection_age_ms": "age_s",
    "grpc.max_connection_age_grace_ms": "age_grace_s",
    "grpc.keepalive_time_ms": "keepalive_s",
    "grpc.keepalive_timeout_ms": "keepalive_answer_s",
}
_FOREVER = (1 << 31) - 1
"""What gRPC takes for no limit, beside -1."""
_WITHOUT_LIMIT = {"message_bytes": (1 << 32) - 1, "idle_s": None, "age_s": None, "age_grace_s": None}


def parse(text: str) -> dict[str, int | str]:
    """The arguments: integers as integers, the rest as text. Raises `UsageError`."""
    arguments: dict[str, int | str] = {}
    for item in filter(None, text.split(",")):
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--grpc_channel_arguments: {item!r} has no value; expected name=value")
        arguments[name] = int(value) if value.lstrip("-").isdecimal() else value
    return arguments


def applied(limits: ServerLimits, arguments: Mapping[str, int | str]) -> tuple[ServerLimits, list[str]]:
    """The limits as the arguments say, and the names of those that have no meaning here. Raises `UsageError`."""
    changed: dict[str, Any] = {}
    unused = []
    for name, value in arguments.items():
        field = _COUNTS.get(name) or _MILLISECONDS.get(name)
        if field is None:
            unused.append(name)
            continue
        if not isinstance(value, int):
            raise UsageError(f"--grpc_channel_arguments: {name} is {value!r}; expected a whole number")
        if value < 0 or value == _FOREVER:
            changed[field] = _WITHOUT_LIMIT.get(field, _FOREVER)
        else:
            changed[field] = value / 1000 if name in _MILLISECONDS else value
    return replace(limits, **changed), unused
