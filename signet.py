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
    names: Annotated[list[str], typer.Argument(help="Models to train, or 'all'.", metavar="NAME…")],
    preset: Annotated[str, typer.Option(help="quick: under a minute of CPU a model; full: the reported figures.")] = "quick",
    models_dir: Annotated[Path, typer.Option(help="Exports go to MODELS_DIR/NAME/VERSION.")] = Path("models"),
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same weights.")] = 0,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data; default: the preset's.")] = None,
    data: Annotated[str | None, typer.Option(help="Real data instead of generated data; see the model's docs.")] = None,
    if_missing: Annotated[bool, typer.Option(help="Leave out models that have a version already.")] = False,
) -> None:
    """Train, evaluate and export models of this project."""
    from training.train import train as run

    run(names, preset=preset, models_dir=models_dir, seed=seed, epochs=epochs, data=data, if_missing=if_missing)


def main() -> None:
    """Entry point of the `signet` script."""
    app()
