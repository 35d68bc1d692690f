"""`signet serve`: the gateway, in front of models in its own process or of a model server."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    models_dir: Annotated[
        str | None,
        typer.Option(
            help="Folder of models, MODEL/VERSION/saved_model.pb, or its address: s3://…, gs://…; default: models."
        ),
    ] = None,
    model_config_file: Annotated[
        Path | None, typer.Option(help="TensorFlow Serving's model config file, instead of a folder of models.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="HOST:PORT[,HOST:PORT…] of TensorFlow Serving's gRPC port; without it models run in here."),
    ] = None,
    write_labels: Annotated[
        bool | None,
        typer.Option(
            "--write-labels",
            help="Write the labels stable and canary, and the versions that releases need, into --model-config-file, and have "
            "the backend read it.",
            show_default=False,
        ),
    ] = None,
    release_check: Annotated[
        bool | None,
        typer.Option(
            "--release-check/--no-release-check",
            help="Run the gate for candidates of releases, by one process of all, at the lowest priority. [default: yes]",
            show_default=False,
        ),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Models that the backend serves, separated by commas.")] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; 0.0.0.0 lets other machines in, with --keys or --insecure. [default: 127.0.0.1]"
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="File of keys, one of which every request has to show; `signet keys` writes it."),
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure",
            help="Let other machines in without keys: something in front keeps strangers out.",
            show_default=False,
        ),
    ] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the HTTP API; 0: a free one. [default: 8080]")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Port of the gRPC API; 0: a free one. [default: 8081]")] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            help="Answer /livez, /readyz and /metrics on this port too, by a thread of its own; 0: a free one. "
            "[default: none]",
            show_default=False,
        ),
    ] = None,
    cors_origins: Annotated[
        str | None,
        typer.Option(
            help="ORIGIN[,ORIGIN…], such as https://app.example.com, whose pages may ask from a browser (CORS); * for all. "
            "[default: none]",
            show_default=False,
        ),
    ] = None,
    grpc: Annotated[
        bool | None, typer.Option("--grpc/--no-grpc", help="Open the gRPC port. [default: --grpc]", show_default=False)
    ] = None,
    tls_cert_file: Annotated[
        Path | None,
        typer.Option(
            help="PEM certificate chain to show: both ports speak TLS then, and follow it when it is renewed. [default: no TLS]",
            show_default=False,
        ),
    ] = None,
    tls_key_file: Annotated[Path | None, typer.Option(help="PEM private key of --tls-cert-file.")] = None,
    tls_client_ca_file: Annotated[
        Path | None,
        typer.Option(help="PEM roots of callers' certificates: each caller has to show one then (mTLS)."),
    ] = None,
    grpc_transport: Annotated[
        str | None,
        typer.Option(help="What carries gRPC: own, or grpcio as before. [default: own]"),
    ] = None,
    processes: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Processes that answer, each with models and threads of its own; auto: one a core. [default: 1]",
        ),
    ] = None,
    request_timeout_s: Annotated[
        float | None, typer.Option(help="Seconds a request may take before it gets 504. [default: 30]")
    ] = None,
    batch_max_rows: Annotated[
        int | None, typer.Option(help="Most rows joined into one call; 1: no joining. [default: 64]")
    ] = None,
    batch_models: Annotated[
        str | None,
        typer.Option(
            help="MODEL=on,MODEL=off…: whether rows of several requests share calls. Default: where that is known to "
            "change no answer."
        ),
    ] = None,
    hedge_after: Annotated[
        str | None,
        typer.Option(
            help="p95 or SECONDS: a call on a model server that takes longer is made again on another, for at most 5 % of calls."
        ),
    ] = None,
    allow_missing: Annotated[
        bool | None,
        typer.Option(help="Start although the folder of models is not there yet; /readyz says no meanwhile."),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option(
            help="TAG[,TAG]: of the graph to load where a SavedModel has others, such as serve,gpu. [default: serve]",
            show_default=False,
        ),
    ] = None,
    allow_ops: Annotated[
        str | None,
        typer.Option(help="NAME[,NAME]: operations such as ReadFile that models may reach, though they touch files."),
    ] = None,
    request_log: Annotated[
        str | None,
        typer.Option(
            help="Keep some requests with their answers, as Parquet, in this folder or at s3://…, gs://…. [default: none]",
            show_default=False,
        ),
    ] = None,
    request_log_sample: Annotated[
        float | None, typer.Option(help="Share of the requests that are kept so. [default: 0.01]", show_default=False)
    ] = None,
    request_log_redact: Annotated[
        str | None,
        typer.Option(
            help="MODEL.COLUMN[,…]: what is left empty in it: social_posts.text, *.picture, digits.output.digit."
        ),
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send traces to the collector whose OTLP/HTTP port is there, such as http://localhost:4318. [default: none]",
            show_default=False,
        ),
    ] = None,
    otlp_sample: Annotated[
        float | None,
        typer.Option(
            help="Share of requests that are traced, of those whose callers name no trace, 0 to 1. [default: 0.01]",
            show_default=False,
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="Form of the log: text, or json, one object a line. [default: text]")
    ] = None,
    access_log: Annotated[
        str | None,
        typer.Option(
            help="Requests that get a line in the log: failed, all, slow=200ms, sample=0.01, several with commas, or off. "
            "[default: failed]",
            show_default=False,
        ),
    ] = None,
    access_log_file: Annotated[
        Path | None, typer.Option(help="File for those lines; reopened when it was moved away. [default: stderr]")
    ] = None,
    drain_s: Annotated[
        float | None, typer.Option(help="Seconds to go on answering after SIGTERM with /readyz at 503. [default: 2]")
    ] = None,
) -> None:
    """Serve models over HTTP and gRPC: named tensors in and out, Prometheus metrics. Ctrl-C drains and stops.

    Each option is also a variable SIGNET_NAME, such as SIGNET_HTTP_PORT; the option wins. More of them: docs/settings.md.
    """
    from signet.serving.gateway.settings import Settings, read

    given = {name: value for name, value in locals().items() if name in Settings.model_fields}
    settings = read({name: value for name, value in given.items() if value is not None})
    if settings.processes > 1:
        from signet.serving.gateway import processes as parent  # imports neither TensorFlow nor FastAPI

        parent.run(settings)
    else:
        from signet.serving.gateway import server

        server.run(settings)
