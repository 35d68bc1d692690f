"""What a user asks of `signet score`, and what is told to them at the end."""

from dataclasses import dataclass
from pathlib import Path

from signet.clients.client.connecting import NOTHING, Access
from signet.clients.score.input.csv_dialect import UNKNOWN, Dialect
from signet.serving.errors import UsageError
from signet.serving.tensors.signature import DEFAULT

STDOUT = "-"
LOCAL, RAY = "local", "ray"
NON_FINITE = ("bare", "null", "string")


@dataclass(frozen=True)
class ScoreOptions:
    """What is to be scored, and how; the fields are the options of `signet score`."""

    model: str
    inputs: list[str]
    output: str
    url: str
    signature: str = DEFAULT
    version: int | None = None
    """None: the highest at the start."""
    input_format: str = ""
    dialect: Dialect = UNKNOWN
    """How CSV files are written, as far as the user says."""
    format: str = ""
    maps: tuple[str, ...] = ()
    carry: str | None = None
    """Names separated by commas; None: all columns that are no inputs."""
    prefix: str = ""
    flat: bool = False
    non_finite: str = "bare"
    """NaN and infinity in lines of JSON: the `bare` words, `null` or a `string`."""
    batch_rows: int | None = None
    """Rows of a request; None: by the size of a row."""
    part_rows: int = 65_536
    """Rows of a part file, or up to a request more."""
    concurrency: int = 4
    """Requests in flight."""
    rows_per_s: float | None = None
    """The rate limit; None: as fast as it goes."""
    max_bad: int | None = 0
    """Rows that may be bad; None: any number."""
    overwrite: bool = False
    verify: bool = False
    """Whether every part is read again at the end."""
    patience_s: float = 60.0
    """Seconds to go on asking a server that is away."""
    access: Access = NOTHING
    """What is shown to the server."""
    engine: str = LOCAL
    """`local`, or `ray`."""
    ray_address: str = ""
    in_process: Path | None = None
    """The folder of models to load from, instead of asking a server."""

    def check(self) -> None:
        """Raise `UsageError` for words that no option has."""
        if self.engine not in (LOCAL, RAY):
            raise UsageError(f"--engine is {self.engine!r}; expected {LOCAL} or {RAY}")
        if self.non_finite not in NON_FINITE:
            raise UsageError(f"--non-finite is {self.non_finite!r}; expected {', '.join(NON_FINITE)}")
        if self.output == STDOUT and self.max_bad != 0:
            raise UsageError("with OUTPUT - there is no place for bad rows: leave --max-bad out")
        if self.output == STDOUT and self.engine != LOCAL:
            raise UsageError("with OUTPUT - the rows are scored here: leave --engine out")


@dataclass(frozen=True)
class ScoreSummary:
    """What a run of `signet score` did."""

    version: int
    rows: int
    """Rows of the result that are scored, in all."""
    new_rows: int
    """Rows that this run scored."""
    bad: int
    seconds: float
    letters: str
    """The file of the dead letters."""

    def sentence(self, model: str, output: str) -> str:
        """The summary for people."""
        rate = self.new_rows / max(self.seconds, 1e-9)
        before = f", {self.rows - self.new_rows:,} of them before" if self.new_rows < self.rows else ""
        bad = f"; {self.bad:,} bad rows: {self.letters}" if self.bad else ""
        return (
            f"{self.rows:,} rows scored by version {self.version} of {model!r} in {self.seconds:.1f} s "
            f"({rate:,.0f} rows/s{before}): {output}{bad}"
        )
