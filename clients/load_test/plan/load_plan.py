"""What a load test is to do, as its user said it; what cannot be done is refused before anything is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from signet.clients.client.connecting import NOTHING, URL_VARIABLE, Access, usual_url, with_scheme
from signet.clients.load_test.plan import slo, steps
from signet.clients.load_test.plan.slo import Limit
from signet.clients.load_test.plan.steps import Step
from signet.serving.errors import UsageError
from signet.serving.options import Option

if TYPE_CHECKING:
    from signet.clients.load_test.plan.dialects import GrpcDialect, HttpDialect

ARRIVALS = ("poisson", "fixed")
PROTOCOLS = ("v1", "v2", "v2-binary", "grpc", "grpc-v2")
DEFAULT_RATE = "10"


@dataclass(frozen=True)
class LoadPlan:
    """What is to be done."""

    models: Annotated[
        list[str],
        Option(
            "Models to ask. Several share the requests by their weights: digits=3 question_answering=1.",
            metavar="MODEL[:SIGNATURE][=WEIGHT]…",
            is_argument=True,
            complete="served",
        ),
    ]
    url: Annotated[
        str,
        Option(
            "Where the server answers: http://HOST:PORT, or HOST:PORT. For gRPC it does not come from the variable. "
            f"[default: http://localhost:8080, of gRPC localhost:8081]  [env: {URL_VARIABLE}]",
            section="Connection",
        ),
    ] = ""
    protocol: Annotated[
        str,
        Option(
            "v1: TensorFlow Serving's JSON; v2, v2-binary: the Open Inference Protocol's JSON, or raw bytes; grpc: "
            "TensorFlow Serving's Predict; grpc-v2: ModelInfer.",
            choices=PROTOCOLS,
        ),
    ] = "v1"
    rate: Annotated[
        str | None,
        Option(
            "Requests per second of an open loop, each started at its time whether or not others are answered. "
            "50..500 is a ramp; several, separated by commas, are steps. [default: 10]"
        ),
    ] = None
    closed: Annotated[
        str | None,
        Option(
            "Instead of a rate: so many in flight, each followed by the next when it is answered; several are "
            "steps. Shows the highest throughput, and hides stalls."
        ),
    ] = None
    seconds: Annotated[float, Option("Length of each step.", min=0.1)] = 10.0
    arrivals: Annotated[
        str,
        Option("poisson: as from many callers who do not know of each other; fixed: evenly spaced.", choices=ARRIVALS),
    ] = "poisson"
    warmup_s: Annotated[float, Option("Seconds of the first step's load that come first and do not count.", min=0)] = (
        1.0
    )
    bodies: Annotated[
        str,
        Option(
            "golden: the examples in --models-dir; signature: random values; a file with a JSON object in each "
            "line or Parquet, as for `signet score`, or a predict request; a folder that "
            "`signet serve --request-log` wrote. auto: golden where there are any, else signature."
        ),
    ] = "auto"
    rows: Annotated[int, Option("Rows in a request.", min=1)] = 1
    size: Annotated[int, Option("Random values: the size of dimensions that the signature leaves open.", min=0)] = 16
    models_dir: Annotated[Path, Option("Where the golden examples are.")] = Path("models")
    version: Annotated[int | None, Option("Version to ask. [default: the highest that is served]")] = None
    slo: Annotated[
        str,
        Option(
            "Limits, over the whole run: p99=50ms (or p50, p99.9, max, in ms or s), errors=0.1%, goodput=100 (a "
            "second), separated by commas. A failed request counts as never answered. One that is not kept: exit code 1."
        ),
    ] = ""
    find: Annotated[
        bool, Option("Search for the highest rate that meets --slo, to 5 %: trials of --seconds from --rate on.")
    ] = False
    timeout_s: Annotated[float, Option("Seconds after which an answer counts as failed.", min=0.001)] = 30.0
    connections: Annotated[int, Option("Most HTTP connections; beyond, requests wait.", min=1)] = 1000
    seed: Annotated[int, Option("Of arrivals, the mix and random values.")] = 0
    json: Annotated[Path | None, Option("Write the result here, for `signet load-compare`; - prints it.")] = None
    html: Annotated[Path | None, Option("Write a report with plots here, one file.")] = None
    access: Access = NOTHING
    """What is shown to the server."""

    @property
    def dialect(self) -> "HttpDialect | GrpcDialect":
        """How the server is asked."""
        return _dialects()[self.protocol]

    @property
    def prints_json(self) -> bool:
        """Whether the result goes to standard output, as JSON."""
        return self.json is not None and str(self.json) == "-"

    @property
    def limits(self) -> list[Limit]:
        """What is to be kept."""
        return slo.parse(self.slo)

    @property
    def steps(self) -> list[Step]:
        """The load, one step after the other; of a search, the first trial."""
        if self.closed and (self.rate or self.find):
            raise UsageError("--closed is another kind of load than --rate and --find; give one of them")
        if self.closed:
            return steps.closed_steps(self.closed, self.seconds)
        planned = steps.open_steps(self.rate or DEFAULT_RATE, self.seconds)
        if self.find and (len(planned) > 1 or planned[0].from_rate != planned[0].to_rate):
            raise UsageError(f"--find starts at one rate; --rate {self.rate} has several")
        return planned

    def check(self) -> None:
        """Raise `UsageError` for what cannot be done."""
        _ = self.steps  # says itself what is wrong
        if not self.limits and self.find:
            raise UsageError("--find needs the limits to meet: --slo, such as p99=50ms,errors=0.1%")
        if self.json and self.json == self.html:
            raise UsageError(f"--json and --html are both {self.json}; each needs a file of its own")
        for path in (self.json, self.html):
            if path and not path.parent.is_dir():
                raise UsageError(f"the folder {path.parent} does not exist, so {path} cannot be written")


def address(protocol: str, url: str) -> str:
    """Where a server answers in that protocol: the URL, over HTTP with a scheme; empty: as $SIGNET_URL says, or usually."""
    if protocol.startswith("grpc"):
        return url or "localhost:8081"
    return with_scheme(url or usual_url())


def _dialects() -> "Mapping[str, HttpDialect | GrpcDialect]":
    from signet.clients.load_test.plan.dialects import DIALECTS  # noqa: PLC0415  # `signet --help` does without protobuf

    return DIALECTS
