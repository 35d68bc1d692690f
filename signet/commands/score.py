"""`signet score`: files are scored, each row once."""

from pathlib import Path
from typing import Annotated

import typer

from signet.clients.client.connecting import DEFAULT_URL, Url
from signet.commands.connection import ConnectionOptions
from signet.commands.spread import spread


@spread
def score(
    name: Annotated[str, typer.Argument(help="The model; `signet models` lists them.", metavar="MODEL")],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="The files to score, and last where the result goes. INPUT: files, folders, patterns such as 'rows-*.csv', "
            "URLs such as s3://bucket/rows/ (with signet-serving[s3], signet-serving[gs]), or - for standard input. "
            "OUTPUT: a folder of part files; one file where its name ends as a format does; - for standard output.",
            metavar="INPUT… OUTPUT",
        ),
    ],
    url: Url = DEFAULT_URL,
    signature: Annotated[str, typer.Option(help="Which way to call the model.")] = "serving_default",
    version: Annotated[
        int | None,
        typer.Option(help="The version that scores all rows. Default: the highest at the start.", show_default=False),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="Where an input lies when no column is called so: INPUT=COLUMN, or INPUT=COLUMN,COLUMN… side by side; "
            "may be given again. Columns x_0, x_1 … make the input x without it.",
            metavar="INPUT=COLUMN",
            show_default=False,
        ),
    ] = None,
    carry: Annotated[
        str | None,
        typer.Option(
            help="Columns to write beside the outputs, separated by commas. Default: all that are no inputs.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Stands before the name of each output, for rows that have such a column already.")
    ] = "",
    flat: Annotated[
        bool,
        typer.Option("--flat", help="A column for each number of an output: digit_0, digit_1 … instead of a list."),
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Of a folder's parts: parquet, jsonl, csv, arrow, tfrecord; csv.gz, jsonl.zst. [default: parquet]",
        ),
    ] = "",
    input_format: Annotated[
        str, typer.Option(help="Of all inputs, where names do not tell. [default for -: jsonl]")
    ] = "",
    delimiter: Annotated[
        str,
        typer.Option(
            help="Of CSV files: one character, or tab. Default: , or tab by the name; ; tab or | where the first rows say so.",
            show_default=False,
        ),
    ] = "",
    encoding: Annotated[
        str,
        typer.Option(
            help="Of CSV files: utf-8, utf-16, cp1252, latin-1 … Default: as the file's beginning tells.",
            show_default=False,
        ),
    ] = "",
    quoting: Annotated[
        str,
        typer.Option(
            help='Of CSV files: double: "" is a quote within quotes, as RFC 4180 has it; backslash: \\" too; single: quotes '
            "are '; none: quotes are text. Default: double, or backslash where the first rows say so.",
            show_default=False,
        ),
    ] = "",
    batch_rows: Annotated[
        int | None,
        typer.Option(
            help="Rows in a request. Default: 64 of texts, 256 of rows of any length, else 8 to 1024, about 256 KiB.",
            min=1,
            show_default=False,
        ),
    ] = None,
    part_rows: Annotated[
        int, typer.Option(help="Rows in a part; what is lost by a kill is scored again from the last part.", min=1)
    ] = 65_536,
    concurrency: Annotated[
        int, typer.Option(help="Most requests in flight; fewer while the server is busy with others.", min=1, max=100)
    ] = 4,
    rate: Annotated[
        float | None, typer.Option(help="Most rows a second. Default: no limit.", min=0.001, show_default=False)
    ] = None,
    max_bad: Annotated[
        int,
        typer.Option(
            help="Rows that may be bad: they go to the dead letters, with the reason. -1: any number.", min=-1
        ),
    ] = 0,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace OUTPUT if it exists; start anew where inputs or model have changed."),
    ] = False,
    non_finite: Annotated[str, typer.Option(help="NaN and infinity in lines of JSON: bare, null, or string.")] = "bare",
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every part again at the end, and hold it against its SHA-256.")
    ] = False,
    patience_s: Annotated[
        float,
        typer.Option(
            help="Seconds to go on while nothing is answered: the server is away or busy, the version gone.", min=0
        ),
    ] = 60.0,
    engine: Annotated[
        str,
        typer.Option(
            help="local: this process sends the requests. ray: the workers of a Ray cluster (signet-serving[ray])."
        ),
    ] = "local",
    ray_address: Annotated[
        str, typer.Option(help="The Ray cluster, as HOST:PORT; without it Ray looks for one here, or starts one.")
    ] = "",
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Load the model from MODELS_DIR instead of asking a service.")
    ] = False,
    models_dir: Annotated[Path, typer.Option(help="For --in-process: MODELS_DIR/MODEL/VERSION.")] = Path("models"),
    *,
    connection: ConnectionOptions,
) -> None:
    """Score files: a row {"id": 7, "pixels": […]} becomes {"id": 7, "digit": […]}, in the same order.

    CSV, TSV, JSON lines, Parquet, Arrow and TFRecords (.gz, .zst). Inputs are found by their names and left out of the
    result; other columns are carried along. No row is lost and none comes twice: killed at any moment, the same command
    goes on after the last whole part and gives the same bytes. It refuses to go on with other inputs or another model.
    All rows are scored by one version. The server's other callers come first: a busy one is left alone for a while.

    Exit codes: 0 all is scored; 1 a mistake or an error; 3 the version is not served any more; 4 more bad rows than
    --max-bad; 130 Ctrl-C; 141 nobody reads OUTPUT - any more; 143 SIGTERM.
    """
    from rich.console import Console

    from signet.clients.score import storage
    from signet.clients.score.input.csv_dialect import of_options
    from signet.clients.score.job import score as run
    from signet.clients.score.options import ScoreOptions

    if len(paths) < 2:
        raise typer.BadParameter("expected INPUT… OUTPUT, at least one of each", param_hint="INPUT… OUTPUT")
    options = ScoreOptions(
        name,
        paths[:-1],
        paths[-1],
        url,
        signature=signature,
        version=version,
        input_format=input_format,
        dialect=of_options(delimiter, encoding, quoting),
        format=format_,
        maps=tuple(map_ or ()),
        carry=carry,
        prefix=prefix,
        flat=flat,
        batch_rows=batch_rows,
        part_rows=part_rows,
        concurrency=concurrency,
        rows_per_s=rate,
        max_bad=None if max_bad < 0 else max_bad,
        overwrite=overwrite,
        verify=verify,
        access=connection.access(),
        non_finite=non_finite,
        patience_s=patience_s,
        engine=engine,
        ray_address=ray_address,
        in_process=models_dir if in_process else None,
    )
    done = run(options, Console(stderr=True))
    typer.echo(done.sentence(name, storage.shown(paths[-1])), err=paths[-1] == "-")
