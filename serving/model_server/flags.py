"""The flags of `tensorflow_model_server`, parsed in its manner.

Only `--name=value`; booleans also bare, or `=true/false/1/0`; the last occurrence wins; an unknown argument is
complained about and the server starts all the same. Source: `model_servers/main.cc`, `command_line_flags.cc`.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from serving.errors import UsageError


def _flag(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Flags:
    """One field for each flag, with TensorFlow Serving's default."""

    port: int = _flag(8500, "TCP port of the gRPC API, on all interfaces.")
    model_name: str = _flag("default", "Name of the model under --model_base_path.")
    model_base_path: str = _flag("", "Folder that holds the version folders of the model; absolute.")
    model_config_file: str = _flag("", "Text ModelServerConfig with several models; the two flags above are ignored.")
    file_system_poll_wait_seconds: int = _flag(1, "Seconds between looks for new versions; 0: once; below 0: never.")
    max_num_load_retries: int = _flag(5, "Further attempts after a version failed to load.")
    load_retry_interval_micros: int = _flag(60_000_000, "Microseconds between these attempts; below 0: no wait.")


def usage() -> str:
    """All flags with their defaults, one a line."""
    lines = ["usage: signet model-server [--flag=value …]", "Flags:"]
    for flag in fields(Flags):
        default = f'"{flag.default}"' if isinstance(flag.default, str) else str(flag.default).lower()
        lines.append(f"\t--{flag.name}={default}\t{type(flag.default).__name__}\t{flag.metadata['help']}")
    return "\n".join(lines)


def parse(arguments: list[str]) -> tuple[Flags, list[str]]:
    """The flags and the arguments nobody knows. Raises `UsageError` for a value that does not parse."""
    known = {flag.name: flag for flag in fields(Flags)}
    values: dict[str, Any] = {}
    unknown = []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in known:
            unknown.append(argument)
            continue
        values[name] = _value(name, text if equals else None, known[name].default)
    return replace(Flags(), **values), unknown


def _value(name: str, text: str | None, default: Any) -> Any:
    if isinstance(default, bool):
        if text in (None, "true", "1"):
            return True
        if text in ("false", "0"):
            return False
        raise UsageError(f"--{name} is {text!r}; expected true or false")
    if text is None:
        raise UsageError(f"--{name} has no value; expected --{name}=value")
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"--{name} is {text!r}; expected a whole number") from None
    return text
