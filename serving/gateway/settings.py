"""The gateway's configuration, from SIGNET_* variables and the options of `signet serve`."""

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from signet.serving.errors import UsageError
from signet.serving.gateway import access_choice
from signet.serving.gateway.access_choice import AccessChoice
from signet.serving.models.model_store import is_address
from signet.serving.process import cores
from signet.serving.process.draining import DRAIN_S

SHARED = ("max_in_flight", "max_buffered_bytes", "max_connections", "max_connections_per_address")
"""The limits of a service that its processes share."""


_PREFIX = "SIGNET_"
_MOST_SHOWN = 100

DEFAULT_MODELS_DIR = "models"
"""What is served where nothing is said."""

ANY_ORIGIN = "*"
"""In cors_origins: every origin."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


class Settings(BaseSettings):
    """The settings of one gateway: read once at the start, frozen, handed down to its parts."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True)

    models_dir: Path | None = None
    """Folder of models: MODEL/VERSION/saved_model.pb. Its folder names are what is served, unless said below."""
    model_store: str = ""
    """Address of models elsewhere, such as s3://bucket/models, which models_dir follows; models_dir may be one itself."""
    store_poll_s: float = Field(30.0, gt=0)
    """Seconds between two looks at the store."""
    model_config_file: Path | None = None
    """TensorFlow Serving's model config file: says what is served, and where it lies."""
    models: str = ""
    """Names of the models to serve, separated by commas; for a remote backend without the two above."""

    backend: str = ""
    """HOST:PORT of a TensorFlow Serving gRPC port, dns:///HOST:PORT for every address of a name, or unix:PATH; several
    separated by commas; empty: the embedded engine."""
    write_labels: bool = False
    """Whether the labels `stable` and `canary`, and the versions that releases need, are written into model_config_file, and the
    model servers told to read it; that file is theirs."""
    release_check: bool = True
    """Whether the gate is run for candidates of releases, by one process of all, beside the requests, at the lowest priority; in
    front of a backend it never is: there is no engine."""
    backend_ca_file: Path | None = None
    """PEM roots that the model servers' certificates must descend from; turns TLS on."""
    backend_cert_file: Path | None = None
    """PEM certificate chain that the gateway shows to model servers; goes with the two around it."""
    backend_key_file: Path | None = None
    """PEM private key of the certificate that the gateway shows to model servers."""

    hedge_after: str = ""
    """p95 or seconds: a call on a model server that takes longer is made a second time on another, for at most 5 % of the calls;
    empty: never."""

    grpc_transport: Literal["own", "grpcio"] = "own"
    """What carries gRPC, from callers and to model servers: frames of HTTP/2 of our own, or grpcio as before, which goes after a
    release."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in, which takes keys, or insecure."""
    keys: Path | None = None
    """File of keys, which every request has to show one of; `signet keys` writes it, and it is read again when it changes.
    Without it whoever reaches the ports is answered."""
    insecure: bool = False
    """Whether the API ports may be open to other machines without keys: something in front keeps strangers out."""
    http_port: int = Field(8080, ge=0, le=65535)
    """Port of the HTTP API; 0 takes a free one."""
    grpc_port: int = Field(8081, ge=0, le=65535)
    """Port of the gRPC API; 0 takes a free one."""
    admin_port: int | None = Field(None, ge=0, le=65535)
    """Port on which /livez, /readyz and /metrics are answered too, by a thread of its own; 0 takes a free one."""
    cors_origins: str = ""
    """Origins, such as https://app.example.com, whose pages browsers let read the answers, separated by commas; * for all,
    without cookies; empty: none."""
    grpc: bool = True
    """Whether the gRPC port is opened at all."""
    tls_cert_file: Path | None = None
    """PEM certificate chain to show on the HTTP and the gRPC port, which speak TLS then; followed when it is renewed. The admin
    port stays in the clear."""
    tls_key_file: Path | None = None
    """PEM private key of that certificate, without a password."""
    tls_client_ca_file: Path | None = None
    """PEM roots that callers' certificates must descend from, which each caller must show then (mTLS)."""

    processes: int = 1
    """Processes that answer, from 1 to 256, each with an interpreter, models and threads of its own; auto: one a core. The
    limits below are for all of them together."""
    request_timeout_s: float = Field(30.0, gt=0)
    """Seconds a predict request may take before its caller gets 504."""
    batch_max_rows: int = Field(64, ge=1)
    """Most rows joined into one call; 1 turns batching off."""
    batch_models: str = ""
    """MODEL=on or MODEL=off, separated by commas: whether rows of several requests share its calls, known or not. Of other
    models only where their card, or asking them when they appear, shows that it changes no answer."""
    max_body_bytes: int = Field(64 << 20, ge=1)
    """Largest request body, before and after decompression; more gets 413. To read one of JSON takes 4 to 16 times its memory for
    a moment where it holds numbers, and at most 40 times. From 128 KiB on a process beside the server reads it: one a core, four
    at most, of 2 GB each, started when the first is needed; what takes more gets 413."""
    max_in_flight: int = Field(512, ge=1)
    """Predict requests in work at once; more get 429 with Retry-After, and so does before that what its model could not answer
    in time, and what goes beyond its model's share: of several models none takes all places."""
    max_buffered_bytes: int = Field(512 << 20, ge=1)
    """Bytes of bodies and unread answers held at once; beyond it bodies wait unread, then get 429 with Retry-After."""
    max_connections: int = Field(4096, ge=1)
    """HTTP connections at once; for one more the longest idle one is closed. As many of gRPC, but never more than 1,024."""
    max_connections_per_address: int = Field(2048, ge=1)
    """The same for one address, so that no single one takes all; a proxy in front is one address."""
    poll_s: float = Field(1.0, gt=0)
    """Seconds between two looks for new versions."""
    allow_missing: bool = False
    """Start although the folder of models is not there yet; /readyz is 503 until it holds a model that is served."""
    tags: str = "serve"
    """Tags of the graph that is loaded from a SavedModel, separated by commas; all of them, such as serve,gpu."""
    allow_ops: str = ""
    """Operations that models may reach although they touch more than the model, separated by commas, such as ReadFile."""

    request_log: str = ""
    """Folder, or s3://… or gs://…, of Parquet files with inputs and outputs of some requests; empty: none are kept."""
    request_log_sample: float = Field(0.01, gt=0, le=1)
    """Share of the requests that are kept in it, chosen by chance."""
    request_log_redact: str = ""
    """MODEL.COLUMN, separated by commas, * standing for anything: columns that are left empty, such as social_posts.text,
    *.picture, digits.output.digit."""
    request_log_file_bytes: int = Field(64 << 20, ge=1)
    """Size, before it is compressed, with which a file of it ends."""
    request_log_file_s: float = Field(300.0, gt=0)
    """Seconds after which a file of it ends."""
    request_log_max_bytes: int = Field(1 << 30, ge=1)
    """Bytes of all files in the folder, the oldest of which go; of what waits for a store that is away."""
    request_log_request_bytes: int = Field(1 << 20, ge=1)
    """Most bytes of inputs and outputs of a request that is kept."""
    request_log_spool: Path | None = None
    """Folder where rows wait until they go to a store; default: among the user's caches."""

    drain_s: float = Field(DRAIN_S, ge=0)
    """Seconds to go on answering after SIGTERM with /readyz at 503, so that load balancers turn away first. Each connection ends
    with its next answer meanwhile. After Ctrl-C at most so many: only while somebody is connected."""
    shutdown_s: float = Field(30.0, gt=0)
    """Seconds that requests in flight have to finish once a graceful shutdown has drained."""
    otlp: str = ""
    """Address of a collector's OTLP/HTTP port, such as http://localhost:4318, which gets the traces of sampled requests;
    empty: none are recorded. Needs the extra `otlp`."""
    otlp_sample: float = Field(0.01, ge=0, le=1)
    """Share of the requests that are traced, of those whose callers name no trace; the others are where their callers' are."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that get a line on stderr; those of the access log are info."""
    log_format: Literal["text", "json"] = "text"
    """Form of each line of the log and of the access log: text, or json, one object a line."""
    access_log: str = "failed"
    """Requests that get a line: failed; all; slow=200ms, that took so long; sample=0.01 or 0.01, so many by chance; several
    of them with commas between, failed always among them; off: none."""
    access_log_file: Path | None = None
    """File of the access log, which is opened anew when it was moved away; default: stderr."""

    @field_validator("processes", mode="before")
    @classmethod
    def _counts_processes(cls, value: object) -> int:
        try:
            return cores.processes(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _leaves_each_process_a_share(self) -> "Settings":
        for name in SHARED:
            if (limit := getattr(self, name)) < self.processes:
                raise ValueError(f"{named(name)} is {limit}, which {self.processes} processes cannot share")
        return self

    @model_validator(mode="before")
    @classmethod
    def _splits_address(cls, values: dict[str, Any]) -> dict[str, Any]:
        """An address in models_dir is the store's. Its copy lies among the user's caches, unless a folder is named."""
        folder = values.get("models_dir")
        if folder is not None and is_address(str(folder)):
            values, folder = {**values, "model_store": str(folder)}, None
        if (store := values.get("model_store")) and folder is None:
            values = {**values, "models_dir": Path.home() / ".cache" / "signet" / quote(str(store), safe="")}
        return values

    @model_validator(mode="after")
    def _declares_models(self) -> "Settings":
        if not self.backend and self.models:
            raise ValueError(
                f"{named('models')} goes with --backend; the embedded engine takes --models-dir or --model-config-file"
            )
        if self.write_labels and not (self.backend and self.model_config_file):
            raise ValueError(
                f"{named('write_labels')} goes with --backend and --model-config-file, which is that of the model servers"
            )
        return self

    @model_validator(mode="after")
    def _has_all_of_tls(self) -> "Settings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError(f"{named('tls_cert_file')} and {named('tls_key_file')} go together")
        if self.tls_client_ca_file and not self.tls_cert_file:
            raise ValueError(
                f"{named('tls_client_ca_file')} goes with --tls-cert-file and --tls-key-file, which turn TLS on"
            )
        if (self.backend_cert_file is None) != (self.backend_key_file is None):
            raise ValueError(f"{named('backend_cert_file')} and {named('backend_key_file')} go together")
        if self.backend_cert_file and not self.backend_ca_file:
            raise ValueError(f"{named('backend_cert_file')} goes with --backend-ca-file, which turns TLS on")
        if self.backend_ca_file and not self.backend:
            raise ValueError(f"{named('backend_ca_file')} goes with --backend")
        return self

    @model_validator(mode="after")
    def _hedges_calls_on_servers(self) -> "Settings":
        if self.hedge_after and not self.backend:
            raise ValueError(
                f"{named('hedge_after')} goes with --backend; the embedded engine has nobody to ask a second time"
            )
        return self

    @field_validator("cors_origins")
    @classmethod
    def _names_origins(cls, value: str) -> str:
        origins = [_origin(entry) for entry in _entries(value)]
        if ANY_ORIGIN in origins and len(origins) > 1:
            raise ValueError(f"cors_origins has {ANY_ORIGIN} beside other origins; expected either")
        return ",".join(dict.fromkeys(origins))

    @model_validator(mode="after")
    def _redacts_columns(self) -> "Settings":
        for pattern in self.redacted_columns:
            if "." not in pattern.strip("."):
                raise ValueError(
                    f"{named('request_log_redact')} has {pattern!r}; expected MODEL.COLUMN, such as social_posts.text"
                )
        return self

    @field_validator("access_log")
    @classmethod
    def _chooses_requests(cls, value: str) -> str:
        access_choice.parse(value)
        return value

    @model_validator(mode="after")
    def _has_switches(self) -> "Settings":
        for entry in _entries(self.batch_models):
            name, _, switch = entry.rpartition("=")
            if not name or switch not in ("on", "off"):
                raise ValueError(f"{named('batch_models')} has {entry!r}; expected MODEL=on or MODEL=off")
        return self

    def of_process(self, place: int) -> "Settings":
        """The settings of one of several processes, from 0: with its share of the limits, without what the parent does."""
        shares = {name: cores.share(getattr(self, name), self.processes, place) for name in SHARED}
        return self.model_copy(update={**shares, "admin_port": None})

    @property
    def batch_switches(self) -> dict[str, bool]:
        """Model -> whether requests share its calls, as batch_models says."""
        pairs = [entry.rpartition("=") for entry in _entries(self.batch_models)]
        return {name: switch == "on" for name, _, switch in pairs}

    @property
    def redacted_columns(self) -> tuple[str, ...]:
        """The patterns of columns that the request log leaves empty."""
        return tuple(_entries(self.request_log_redact))

    @property
    def allowed_origins(self) -> list[str]:
        """The origins whose pages may read the answers, as browsers name them; or `ANY_ORIGIN`."""
        return _entries(self.cors_origins)

    @property
    def access_choice(self) -> AccessChoice | None:
        """Which requests get a line in the access log; None: there is none, or it would go where nobody wants it."""
        shown = self.access_log_file is not None or self.log_level in ("debug", "info")
        return access_choice.parse(self.access_log) if shown else None

    @property
    def tag_names(self) -> tuple[str, ...]:
        """The tags of the graph that is loaded from a SavedModel."""
        return tuple(_entries(self.tags))

    @property
    def addresses(self) -> list[str]:
        """The backend's addresses; none for the embedded engine."""
        return _entries(self.backend)


def _origin(text: str) -> str:
    """An origin as browsers send it: in lower case, without the port that its scheme has anyway."""
    if text == ANY_ORIGIN:
        return text
    match = _ORIGIN.fullmatch(text.lower())
    if not match:
        raise ValueError(
            f"cors_origins has {text[:100]!r}; expected SCHEME://HOST or SCHEME://HOST:PORT without a path, or {ANY_ORIGIN}"
        )
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + ("" if port is None or port == _PORTS.get(scheme) else f":{port}")


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def variables() -> list[str]:
    """The environment variables of all settings."""
    return [variable_of(name) for name in Settings.model_fields]


def variable_of(setting: str) -> str:
    """The environment variable of a setting."""
    return f"{_PREFIX}{setting.upper()}"


def named(setting: str) -> str:
    """A setting as people give it: `--http-port (SIGNET_HTTP_PORT)`."""
    return f"--{setting.replace('_', '-')} ({variable_of(setting)})"


def read(options: dict[str, Any]) -> Settings:
    """The settings from variables and options, which win; `UsageError` names the one that is wrong.

    Without any word on what to serve it is the folder `DEFAULT_MODELS_DIR`.
    """
    try:
        settings = Settings(**options)
        if settings.backend or settings.models_dir or settings.model_config_file:
            return settings
        return Settings(**{**options, "models_dir": Path(DEFAULT_MODELS_DIR)})
    except ValidationError as error:
        raise UsageError("; ".join(map(_problem, error.errors()))) from error


def _problem(line: ErrorDetails) -> str:
    setting = str(line["loc"][0]) if line["loc"] else ""
    if line["type"] == "value_error":  # a sentence of ours
        text = str(line["ctx"]["error"])
        return f"{named(setting)}{text.removeprefix(setting)}" if setting and text.startswith(setting) else text
    if not setting:
        return f"settings: {line['msg']}"
    what = line["msg"].replace("Input should be ", "expected ").replace("Extra inputs are not permitted", "unknown")
    return f"{named(setting)} is {str(line['input'])[:_MOST_SHOWN]!r}: {what}"
