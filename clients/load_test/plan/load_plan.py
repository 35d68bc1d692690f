"""What a load test is to do, as its user said it; what cannot be done is refused before anything is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signet.clients.client.connecting import NOTHING, Access, usual_url
from signet.clients.load_test.plan import bodies, slo, steps
from signet.clients.load_test.plan.dialects import DIALECTS, GrpcDialect, HttpDialect
from signet.clients.load_test.plan.slo import Limit
from signet.clients.load_test.plan.steps import Step
from signet.serving.errors import UsageError

ARRIVALS = ("poisson", "fixed")
DEFAULT_RATE = "10"


@dataclass(frozen=True)
class LoadPlan:
    """What is to be done; the fields are the options of `signet load`."""

    models: Sequence[str]
    """As `mix.parse` reads them."""
    url: str
    """http://HOST:PORT; HOST:PORT for gRPC."""
    protocol: str = "v1"
    rate: str | None = None
    """As `steps.open_steps` reads it; None: `DEFAULT_RATE`, unless `closed` is given."""
    closed: str | None = None
    """As `steps.closed_steps` reads it."""
    seconds: float = 10.0
    """Of each step."""
    arrivals: str = "poisson"
    warmup_s: float = 1.0
    """Of load that does not count; 0: none."""
    bodies: str = bodies.AUTO
    """As `bodies.read` takes it."""
    rows: int = 1
    """In a request."""
    size: int = 16
    """Of dimensions that the signature leaves open, in random values."""
    models_dir: Path = Path("models")
    version: int | None = None
    """None: the highest that is served."""
    slo: str = ""
    """As `slo.parse` reads it."""
    find: bool = False
    timeout_s: float = 30.0
    """After which an answer counts as failed."""
    connections: int = 1000
    """The most that are open, of HTTP."""
    seed: int = 0
    access: Access = NOTHING
    """What is shown to the server."""
    json: Path | None = None
    html: Path | None = None

    @property
    def dialect(self) -> HttpDialect | GrpcDialect:
        """How the server is asked."""
        return DIALECTS[self.protocol]

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
        if self.protocol not in DIALECTS:
            raise UsageError(f"--protocol {self.protocol}: expected {', '.join(DIALECTS)}")
        if self.arrivals not in ARRIVALS:
            raise UsageError(f"--arrivals {self.arrivals}: expected {' or '.join(ARRIVALS)}")
        _ = self.steps  # says itself what is wrong
        if not self.limits and self.find:
            raise UsageError("--find needs the limits to meet: --slo, such as p99=50ms,errors=0.1%")
        if self.json and self.json == self.html:
            raise UsageError(f"--json and --html are both {self.json}; each needs a file of its own")
        for path in (self.json, self.html):
            if path and not path.parent.is_dir():
                raise UsageError(f"the folder {path.parent} does not exist, so {path} cannot be written")


def default_url(protocol: str) -> str:
    """Where a gateway answers in that protocol; over HTTP $SIGNET_URL, where it is set."""
    if isinstance(DIALECTS.get(protocol), GrpcDialect):
        return "localhost:8081"
    return usual_url("http://localhost:8080")
