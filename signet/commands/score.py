"""`signet score`: files are scored, each row once."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from signet.clients.score.options import ScoreOptions
from signet.commands.connection import ConnectionOptions
from signet.commands.spread import spread
from signet.serving.tables.csv_dialect import Dialect, of_options

HERE = "Without a server"


@spread
def score(
    options: ScoreOptions,
    paths: Annotated[
        list[str],
        typer.Argument(
            help="The files to score, and last where the result goes. INPUT: files, folders, patterns such as 'rows-*.csv', "
            "URLs such as s3://bucket/rows/ (with signet-serving[s3], signet-serving[gs]), or - for standard input. "
            "OUTPUT: a folder of part files; one file where its name ends as a format does; - for standard output.",
            metavar="INPUT… OUTPUT",
        ),
    ],
    dialect: Dialect,
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process", rich_help_panel=HERE, help="Load the model from MODELS_DIR instead of asking a service."
        ),
    ] = False,
    models_dir: Annotated[
        Path, typer.Option(help="For --in-process: MODELS_DIR/MODEL/VERSION.", rich_help_panel=HERE)
    ] = Path("models"),
    *,
    connection: ConnectionOptions,
) -> None:
    """Score files: a row {"id": 7, "pixels": […]} becomes {"id": 7, "digit": […]}, in the same order.

    CSV, TSV, JSON lines, Parquet, Arrow and TFRecords (.gz, .zst). Inputs are found by their names and left out of the
    result; other columns are carried along. No row is lost and none comes twice: killed at any moment, the same command
    goes on after the last whole part and gives the same bytes. It refuses to go on with other inputs or another model.
    All rows are scored by one version. The server's other callers come first: a busy one is left alone for a while.

    Exit codes: 0 all is scored; 1 an error, of files, rows, places or the server: mended, the same command goes on; 2 a
    mistake in the call; 3 the version is not served any more; 4 more bad rows than --max-bad; 130 Ctrl-C; 141 nobody reads
    OUTPUT - any more; 143 SIGTERM.

    signet score digits rows.csv scored.parquet
    signet score digits 's3://bucket/rows/*.parquet' s3://bucket/scored/
    signet score digits rows/ scored/ --in-process --max-bad 10
    signet score digits - - < rows.jsonl > scored.jsonl
    """

    from signet.clients.score import storage
    from signet.clients.score.job import score as run
    from signet.serving.errors import NotDone, UsageError
    from signet.serving.exit_codes import ExitCode
    from signet.serving.process.terminal import console

    if len(paths) < 2:
        raise typer.BadParameter("expected INPUT… OUTPUT, at least one of each", param_hint="INPUT… OUTPUT")
    *inputs, output = paths
    options = replace(
        options,
        inputs=inputs,
        output=output,
        dialect=of_options(dialect.delimiter, dialect.encoding, dialect.quoting),
        access=connection.access(),
        in_process=models_dir if in_process else None,
    )
    try:
        done = run(options, console(stderr=True))
    except UsageError as error:
        if error.exit_code != ExitCode.USAGE:
            raise
        raise NotDone(str(error)) from error  # the call could be read: what it names does not fit
    typer.echo(done.sentence(options.model, storage.shown(output)), err=output == "-")
