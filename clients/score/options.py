"""The options of `signet score`, and the summary that it ends with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from signet.clients.client.connecting import DEFAULT_URL, NOTHING, Access, Url
from signet.serving.errors import UsageError
from signet.serving.options import Option
from signet.serving.tables.csv_dialect import UNKNOWN, Dialect

STDOUT = "-"
LOCAL, RAY = "local", "ray"
NON_FINITE = ("bare", "null", "string")


@dataclass(frozen=True)
class ScoreOptions:
    """What is to be scored, and how."""

    model: Annotated[
        str, Option("The model; `signet models` lists them.", metavar="MODEL", is_argument=True, complete="served")
    ]
    inputs: list[str] = field(default_factory=list)
    """Files, folders, patterns, URLs, or - for standard input."""
    output: str = ""
    """A folder, a file, or - for standard output."""
    url: Url = DEFAULT_URL
    signature: Annotated[str, Option("Which way to call the model.")] = "serving_default"
    version: Annotated[int | None, Option("The version that scores all rows. [default: the highest at the start]")] = (
        None
    )
    maps: Annotated[
        list[str],
        Option(
            "Where an input lies when no column is called so: INPUT=COLUMN, or INPUT=COLUMN,COLUMN… side by side; "
            "may be given again. Columns x_0, x_1 … make the input x without it.",
            flag="--map",
            metavar="INPUT=COLUMN",
        ),
    ] = field(default_factory=list)
    carry: Annotated[
        str | None,
        Option("Columns to write beside the outputs, separated by commas. [default: all that are no inputs]"),
    ] = None
    prefix: Annotated[
        str, Option("Stands before the name of each output, for rows that have such a column already.")
    ] = ""
    flat: Annotated[bool, Option("A column for each number of an output: digit_0, digit_1 … instead of a list.")] = (
        False
    )
    format: Annotated[
        str,
        Option(
            "Of a folder's parts: parquet, jsonl, csv, arrow, tfrecord; csv.gz, jsonl.zst. [default: parquet]",
            complete="formats",
        ),
    ] = ""
    input_format: Annotated[
        str, Option("Of all inputs, where names do not tell. [default for -: jsonl]", complete="formats")
    ] = ""
    batch_rows: Annotated[
        int | None,
        Option(
            "Rows in a request. [default: 64 of texts, 256 of rows of any length, else 8 to 1024, about 256 KiB]",
            min=1,
        ),
    ] = None
    part_rows: Annotated[
        int, Option("Rows in a part; what is lost by a kill is scored again from the last part.", min=1)
    ] = 65_536
    concurrency: Annotated[
        int, Option("Most requests in flight; fewer while the server is busy with others.", min=1, max=100)
    ] = 4
    rows_per_s: Annotated[
        float | None, Option("Rate limit: most rows a second. [default: no limit]", flag="--rate", min=0.001)
    ] = None
    max_bad: Annotated[
        int, Option("Rows that may be bad: they go to the dead letters, with the reason. -1: any number.", min=-1)
    ] = 0
    overwrite: Annotated[
        bool, Option("Replace OUTPUT if it exists; start anew where inputs or model have changed.")
    ] = False
    non_finite: Annotated[str, Option("NaN and infinity in lines of JSON.", choices=NON_FINITE)] = "bare"
    verify: Annotated[bool, Option("Read every part again at the end, and hold it against its SHA-256.")] = False
    patience_s: Annotated[
        float,
        Option("Seconds to go on while nothing is answered: the server is away or busy, the version gone.", min=0),
    ] = 60.0
    engine: Annotated[
        str,
        Option(
            "local: this process sends the requests. ray: the workers of a Ray cluster (signet-serving[ray]).",
            choices=(LOCAL, RAY),
        ),
    ] = LOCAL
    ray_address: Annotated[
        str, Option("The Ray cluster, as HOST:PORT; without it Ray looks for one here, or starts one.")
    ] = ""
    dialect: Dialect = UNKNOWN
    """How CSV files are written, as far as the user says."""
    access: Access = NOTHING
    """What is shown to the server."""
    in_process: Path | None = None
    """The folder of models to load from, instead of asking a server."""

    def check(self) -> None:
        """Raise `UsageError` for options that do not go together."""
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
