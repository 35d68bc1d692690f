"""`signet load`: a served model is put under load."""

from dataclasses import replace

import typer

from signet.clients.load_test.plan.load_plan import LoadPlan, address
from signet.commands.connection import ConnectionOptions
from signet.commands.spread import spread


@spread
def load(plan: LoadPlan, connection: ConnectionOptions) -> None:
    """Put a served model under load: latencies from when each request was to start, so that no stall is hidden.

    Ends with a table, and says when this client rather than the server was the bottleneck. Ctrl-C ends early, with what
    was measured. Exit codes: 0; 1 when a limit was not kept or the server does not take the requests; 130 after Ctrl-C, 143
    after SIGTERM.

    signet load digits
    signet load digits=3 question_answering=1 --rate 50..500 --seconds 60
    signet load digits --find --slo p99=50ms,errors=0.1%
    signet load digits --rate 200 --json run.json --html run.html
    """

    from signet.clients.load_test.command import load as run
    from signet.clients.load_test.report.tables import wide_console
    from signet.serving.process.terminal import console

    plan = replace(plan, url=address(plan.protocol, plan.url), access=connection.access())
    raise typer.Exit(run(plan, wide_console(), console(stderr=True)))
