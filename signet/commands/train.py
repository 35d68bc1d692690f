"""`signet train`: models are trained, judged by held-out rows and exported."""

from typing import Annotated

import typer

from signet.commands import completing
from signet.commands.spread import spread
from signet.training.options import TrainOptions


@spread
def train(
    names: Annotated[
        list[str],
        typer.Argument(
            help="digits, question_answering, social_posts, inception, residual, "
            "siamese_lstm, two_cameras, nested, or all.",
            metavar="MODEL…",
            autocompletion=completing.trained,
        ),
    ],
    options: TrainOptions,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was reached as JSON; progress goes to standard error.")
    ] = False,
) -> None:
    """Train models, judge them by held-out rows, and export them as SavedModels that were checked.

    Shows the epoch, the loss and the time left; ends with a table of what was reached. Ctrl-C stops and exports
    nothing half-done; the same command then goes on from the last whole epoch.

    signet train digits
    signet train all --preset full
    signet train question_answering --data qa1_train.txt
    """
    from signet.training.train import train as run

    run(names, options, as_json=as_json)
