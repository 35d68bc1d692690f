"""`signet load`: a served model is put under load."""

from pathlib import Path
from typing import Annotated

import typer

from signet.commands.connection import CaFile, Certificate, Header, Key


def load(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models to ask. Several share the requests by their weights: digits=3 question_answering=1.",
            metavar="NAME[:SIGNATURE][=WEIGHT]…",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            help="Where the server answers: http://HOST:PORT, or HOST:PORT for gRPC. "
            "[default: http://localhost:8080, localhost:8081]",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="v1: TensorFlow Serving's JSON; v2, v2-binary: the Open Inference Protocol's JSON, or raw bytes; grpc: "
            "TensorFlow Serving's Predict; grpc-v2: ModelInfer."
        ),
    ] = "v1",
    rate: Annotated[
        str | None,
        typer.Option(
            help="Requests per second of an open loop, each started at its time whether or not others are answered. "
            "50..500 is a ramp; several, separated by commas, are steps. [default: 10]",
            show_default=False,
        ),
    ] = None,
    closed: Annotated[
        str | None,
        typer.Option(
            help="Instead of a rate: so many in flight, each followed by the next when it is answered; several are "
            "steps. Shows the highest throughput, and hides stalls.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of each step.", min=0.1)] = 10.0,
    arrivals: Annotated[
        str, typer.Option(help="poisson: as from many callers who do not know of each other; fixed: evenly spaced.")
    ] = "poisson",
    warmup_s: Annotated[
        float, typer.Option(help="Seconds of the first step's load that come first and do not count.", min=0)
    ] = 1.0,
    bodies: Annotated[
        str,
        typer.Option(
            help="golden: the examples in --models-dir; signature: random values; a file with a JSON object in each "
            "line, as for `signet score`, or a predict request. auto: golden where there are any, else signature."
        ),
    ] = "auto",
    rows: Annotated[int, typer.Option(help="Rows in a request.", min=1)] = 1,
    size: Annotated[
        int, typer.Option(help="Random values: the size of dimensions that the signature leaves open.", min=0)
    ] = 16,
    models_dir: Annotated[Path, typer.Option(help="Where the golden examples are.")] = Path("models"),
    version: Annotated[
        int | None, typer.Option(help="Version to ask. Default: the highest that is served.", show_default=False)
    ] = None,
    slo: Annotated[
        str,
        typer.Option(
            help="Limits, over the whole run: p99=50ms (or p50, p99.9, max, in ms or s), errors=0.1%, goodput=100 (a "
            "second), separated by commas. A failed request counts as never answered. One that is not kept: exit code 1.",
            show_default=False,
        ),
    ] = "",
    find: Annotated[
        bool,
        typer.Option(
            "--find", help="Search for the highest rate that meets --slo, to 5 %: trials of --seconds from --rate on."
        ),
    ] = False,
    timeout_s: Annotated[float, typer.Option(help="Seconds after which an answer counts as failed.", min=0.001)] = 30.0,
    connections: Annotated[int, typer.Option(help="Most HTTP connections; beyond, requests wait.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Of arrivals, the mix and random values.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write the result here, for `signet load-compare`.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a report with plots here, one file.", show_default=False)
    ] = None,
    header: Header = None,
    ca_file: CaFile = "",
    certificate: Certificate = "",
    key: Key = "",
) -> None:
    """Put a served model under load: latencies from when each request was to start, so that no stall is hidden.

    Ends with a table, and says when this client rather than the server was the bottleneck. Ctrl-C ends early, with what
    was measured. Exit code 0; 1 when a limit was not kept or the server does not take the requests; 130 after Ctrl-C, 143
    after SIGTERM.
    """
    from rich.console import Console

    from signet.clients.client.connecting import of_options
    from signet.clients.load_test.command import load as run
    from signet.clients.load_test.plan.load_plan import LoadPlan, default_url
    from signet.clients.load_test.report.tables import wide_console

    access = of_options(header, ca_file, certificate, key)
    given = {**locals(), "url": url or default_url(protocol)}
    plan = LoadPlan(**{name: given[name] for name in LoadPlan.__dataclass_fields__})
    raise typer.Exit(run(plan, wide_console(), Console(stderr=True)))
