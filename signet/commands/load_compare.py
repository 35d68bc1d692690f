"""`signet load-compare`: two runs of `signet load` are held against each other."""

from pathlib import Path
from typing import Annotated

import typer


def load_compare(
    before: Annotated[Path, typer.Argument(help="What `signet load --json` wrote.", metavar="BEFORE.json")],
    after: Annotated[Path, typer.Argument(help="The same of a later run.", metavar="AFTER.json")],
    worse: Annotated[
        float, typer.Option(help="Exit with code 1 when a figure is clearly worse by more than so many percent.", min=0)
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the comparison with a plot here, one file.", show_default=False)
    ] = None,
) -> None:
    """Compare two runs of `signet load`: what changed, and whether by more than the runs' own ups and downs.

    A change is clear when it is not zero with 95 % confidence, which takes runs of at least ten seconds.

    signet load-compare before.json after.json
    signet load-compare before.json after.json --worse 5 --html changes.html
    """
    from signet.clients.load_test.report.compare import run
    from signet.clients.load_test.report.tables import wide_console

    raise typer.Exit(run(before, after, worse=worse / 100, html=html, as_json=json, console=wide_console()))
