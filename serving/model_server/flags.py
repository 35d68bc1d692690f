"""The flags of `tensorflow_model_server`, all of them, parsed in its manner.

Only `--name=value`; booleans also bare, or `=true/false/1/0`; the last occurrence wins; an unknown argument is
complained about and the server starts all the same. Source: `model_servers/main.cc`, `command_line_flags.cc`.
"""

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.process import cores
from signet.serving.process.draining import DRAIN_S

_DEFAULT_THREADS = 4 * (os.cpu_count() or 1)


def _flag(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _ignored(default: Any, why: str) -> Any:
    """A flag that is accepted, so that command lines carry over, and that cannot mean anything here."""
    return field(default=default, metadata={"help": f"Accepted and ignored: {why}.", "ignored": True})


@dataclass(frozen=True)
class Flags:
    """One field for each flag, with TensorFlow Serving's default."""

    port: int = _flag(8500, "TCP port of the gRPC API, on all interfaces; 0: none.")
    grpc_socket_path: str = _flag("", "UNIX socket on which the gRPC API answers too.")
    rest_api_port: int = _flag(0, "TCP port of the REST API, on all interfaces; 0: none.")
    rest_api_num_threads: int = _ignored(_DEFAULT_THREADS, "one event loop reads all requests")
    rest_api_timeout_in_ms: int = _flag(30_000, "Milliseconds that a REST call may take; 0 or below: no limit.")
    rest_api_enable_cors_support: bool = _flag(False, "CORS headers in REST answers.")

    enable_batching: bool = _flag(False, "Join requests that wait for the same thing.")
    batching_parameters_file: str = _flag("", "Text BatchingParameters; needs --enable_batching.")
    enable_per_model_batching_parameters: bool = _flag(
        False, "Read batching_params.pbtxt in each version's folder; a version without one is not batched."
    )

    model_name: str = _flag("default", "Name of the model under --model_base_path.")
    model_base_path: str = _flag("", "Folder that holds the version folders of the model; absolute.")
    model_config_file: str = _flag("", "Text ModelServerConfig with several models; the two flags above are ignored.")
    model_config_file_poll_wait_seconds: int = _flag(0, "Seconds between looks at that file; 0: read it once.")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "Let a label that is not in use yet point to a version that is not loaded."
    )
    file_system_poll_wait_seconds: int = _flag(1, "Seconds between looks for new versions; 0: once; below 0: never.")
    max_num_load_retries: int = _flag(5, "Further attempts after a version failed to load.")
    load_retry_interval_micros: int = _flag(60_000_000, "Microseconds between these attempts; below 0: no wait.")
    num_load_threads: int = _ignored(0, "one thread loads and unloads, as with the default 0")
    num_unload_threads: int = _ignored(0, "one thread loads and unloads, as with the default 0")
    flush_filesystem_caches: bool = _ignored(True, "files are read once, without a cache")

    tensorflow_session_parallelism: int = _flag(0, "Threads within and between operations; 0: as many as cores.")
    tensorflow_intra_op_parallelism: int = _flag(0, "Threads within an operation; 0: as many as cores.")
    tensorflow_inter_op_parallelism: int = _flag(0, "Operations of a call that run side by side; 0: as many as cores.")
    tensorflow_session_config_file: str = _flag("", "Text ConfigProto for every session.")
    per_process_gpu_memory_fraction: float = _flag(0.0, "Share of the GPU's memory to take; 0: TensorFlow decides.")
    platform_config_file: str = _ignored("", "there is one platform, tensorflow")
    saved_model_tags: str = _flag("serve", "Tags of the MetaGraph to load, separated by commas.")
    enable_model_warmup: bool = _flag(True, "Replay the warm-up requests of a version before it is available.")
    num_request_iterations_for_warmup: int = _flag(0, "Times that each warm-up request is replayed; 0: once.")

    grpc_channel_arguments: str = _flag("", "k=v,k=v for the gRPC server, such as grpc.max_connection_age_ms=2000.")
    grpc_transport: str = _flag(
        "own", "What carries the gRPC API: own, or grpcio as before, for a release. Ours alone."
    )
    log_format: str = _flag("text", "Form of the log on stderr: text, or json, one object a line. Ours alone.")
    drain_s: float = _flag(
        DRAIN_S, "Seconds to go on answering after SIGTERM, so that clients and load balancers turn away. Ours alone."
    )
    otlp: str = _flag("", "Address of a collector's OTLP/HTTP port, which gets traces of calls. Ours alone.")
    otlp_sample: float = _flag(
        0.0, "Share of calls that are traced, of those whose callers name no trace, as a gateway does. Ours alone."
    )
    processes: int = _flag(
        1, "Processes that answer, each with models of its own; auto: one a core. Limits are those of all. Ours alone."
    )
    grpc_max_threads: int = _ignored(_DEFAULT_THREADS, "one event loop reads all requests")
    enable_grpc_healthcheck_service: bool = _flag(False, "Answer as grpc.health.v1.Health.")
    ssl_config_file: str = _flag("", "Text SSLConfig with server_key, server_cert, custom_ca in PEM, client_verify.")
    use_alts_credentials: bool = _ignored(False, "ALTS exists on Google's machines only")
    enable_serialization_as_tensor_content: bool = _flag(False, "Predict answers with tensor_content; quicker to read.")
    enable_signature_method_name_check: bool = _flag(False, "Hold Predict, Classify and Regress to the method_name.")
    monitoring_config_file: str = _flag("", "Text MonitoringConfig: Prometheus metrics on the REST port.")
    version: bool = _flag(False, "Print versions and end.")

    remove_unused_fields_from_bundle_metagraph: bool = _ignored(True, "only signatures are kept in memory")
    enable_profiler: bool = _ignored(True, "there is no profiler service")
    thread_pool_factory_config_file: str = _ignored("", "there are no other thread pools")
    mixed_precision: str = _ignored("", "models run as they were exported")
    skip_initialize_tpu: bool = _ignored(False, "there is no TPU support")
    xla_cpu_compilation_enabled: bool = _ignored(False, "models run as they were exported")
    xla_gpu_compilation_enabled: bool = _ignored(False, "models run as they were exported")
    prefer_tflite_model: bool = _ignored(False, "there is no TensorFlow Lite")
    num_tflite_pools: int = _ignored(2, "there is no TensorFlow Lite")
    num_tflite_interpreters_per_pool: int = _ignored(1, "there is no TensorFlow Lite")

    def without_meaning(self) -> list[str]:
        """The flags that were set and are ignored."""
        return [
            flag.name
            for flag in fields(self)
            if flag.metadata.get("ignored") and getattr(self, flag.name) != flag.default
        ]


_CHOICES = {"grpc_transport": ("own", "grpcio"), "log_format": ("text", "json")}
"""The values of flags that have few."""

_TYPES = {bool: "bool", int: "int64", float: "float", str: "string"}


def usage() -> str:
    """All flags with their defaults, one a line."""
    lines = ["usage: signet model-server [--flag=value …]", "Flags:"]
    for flag in fields(Flags):
        default = f'"{flag.default}"' if isinstance(flag.default, str) else str(flag.default).lower()
        lines.append(f"\t{f'--{flag.name}={default}':<33}\t{_TYPES[type(flag.default)]}\t{flag.metadata['help']}")
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
        if name in _CHOICES and text not in _CHOICES[name]:
            raise UsageError(f"Couldn't interpret value {text} for flag {name}.")
        values[name] = _value(name, text if equals else None, known[name].default)
    flags = replace(Flags(), **values)
    if flags.processes > 1 and flags.grpc_transport == "grpcio":
        raise UsageError(
            f"--processes={flags.processes} goes with --grpc_transport=own: grpcio answers in one process."
        )
    return flags, unknown


def _value(name: str, text: str | None, default: Any) -> Any:
    if name == "processes":
        try:
            return cores.processes(text or "")
        except UsageError:
            expected = f"expected a number from 1 to {cores.MOST_PROCESSES}, or auto, as --processes=2"
            raise UsageError(f"Couldn't interpret value {text or ''} for flag {name}; {expected}.") from None
    if isinstance(default, bool):
        if text in (None, "true", "1"):
            return True
        if text in ("false", "0"):
            return False
    elif text is not None:
        try:
            return type(default)(text)
        except ValueError:
            pass
    raise UsageError(f"Couldn't interpret value {text or ''} for flag {name}.")
