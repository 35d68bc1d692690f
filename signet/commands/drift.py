"""`signet drift`: whether a request log is still distributed as the model's card says."""

import typer

from signet.clients.drift.options import DriftOptions
from signet.commands.spread import spread


@spread
def drift(options: DriftOptions) -> None:
    """Compare what callers send, and what they are answered, with the reference that the export wrote into the model's card.

    For each input and output: the population stability index (PSI), the distance of Kolmogorov and Smirnov (KS), what is
    missing, new or outside of what the reference has. Something drifts when it is beyond a limit, and beyond what chance does
    with so few rows.

    Exit codes: 0 nothing drifts; 1 something does; 2 a mistake, or too few rows.

    signet drift digits --log requests
    signet drift digits --log s3://bucket/requests --since 24h --json
    """
    from signet.clients.drift import command
    from signet.serving.process.terminal import console

    results = console()
    if not results.is_terminal:
        results.width = 160
    raise typer.Exit(command.run(options, results, console(stderr=True)))
