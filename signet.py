"""The `signet` command: one app; a sub-command's code is imported only when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keras models with several named inputs and outputs, from training to production.",
)


@app.command()
def train(
    names: Annotated[
        list[str],
        typer.Argument(help="digits, question_answering, social_posts, or all.", metavar="NAME…"),
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="quick: under a minute of processor time a model; full: up to 30 minutes, for better figures."
        ),
    ] = "quick",
    models_dir: Annotated[
        Path, typer.Option(help="Each export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models"),
    seed: Annotated[
        int,
        typer.Option(
            help="Of the first weights, the order of rows and generated data. Same seed and machine, same weights."
        ),
    ] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data, at least 1. Default: the preset's.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Learn from this instead of generated data. question_answering: a bAbI file or a folder of them; "
            "social_posts: a CSV, JSONL or Parquet file with the columns posts, age, income (0 to 9), gender.",
            show_default=False,
        ),
    ] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Leave out models that have a version.")] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Checkpoints, from which a killed training goes on. Default: .training beside MODELS_DIR."),
    ] = None,
) -> None:
    """Train models, judge them by held-out rows, and export them as SavedModels that were checked.

    Shows the epoch, the loss and the time left; ends with a table of what was reached. Ctrl-C stops and exports
    nothing half-done; the same command then goes on from the last whole epoch.
    """
    from training.train import train as run

    run(
        names,
        preset=preset,
        models_dir=models_dir,
        seed=seed,
        epochs=epochs,
        data=data,
        if_missing=if_missing,
        work_dir=work_dir,
    )


def main() -> None:
    """Entry point of the `signet` script."""
    app()
