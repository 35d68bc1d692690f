"""`signet train`: models are trained, judged by held-out rows and exported."""

from pathlib import Path
from typing import Annotated

import typer

from signet.commands.breaking import AllowBreaking


def train(
    names: Annotated[
        list[str],
        typer.Argument(
            help="digits, question_answering, social_posts, inception, residual, "
            "siamese_lstm, two_cameras, nested, or all.",
            metavar="NAME…",
        ),
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
    architecture: Annotated[
        str,
        typer.Option(help="default: the network that learns best. notebook: the one in the notebook, layer by layer."),
    ] = "default",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data, at least 1. Default: the preset's.", show_default=False)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs in a row that were not the best on the validation rows; 0: never. "
            "Default: the preset's. Exported are the weights of the best epoch in any case.",
            show_default=False,
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write for `tensorboard --logdir` into this folder.", show_default=False)
    ] = None,
    mixed_precision: Annotated[
        bool,
        typer.Option(
            "--mixed-precision", help="Compute in bfloat16, for processors and GPUs that do; the export is float32."
        ),
    ] = False,
    distribute: Annotated[
        bool, typer.Option("--distribute", help="Share each batch out among all local devices.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Learn from this instead of generated data. question_answering: a bAbI file or a folder of them; "
            "social_posts: a CSV, JSONL or Parquet file with the columns posts, age, income (0 to 9), gender; "
            "siamese_lstm: a CSV or JSONL file with left, right, same (0 or 1); "
            "inception, residual: the word scenes, for turned, scaled and cluttered digits.",
            show_default=False,
        ),
    ] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Leave out models that have a version.")] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Checkpoints, from which a killed training goes on. Default: .training beside MODELS_DIR."),
    ] = None,
    allow_breaking: AllowBreaking = False,
) -> None:
    """Train models, judge them by held-out rows, and export them as SavedModels that were checked.

    Shows the epoch, the loss and the time left; ends with a table of what was reached. Ctrl-C stops and exports
    nothing half-done; the same command then goes on from the last whole epoch.
    """
    from signet.training.train import Order
    from signet.training.train import train as run

    order = Order(
        preset=preset,
        models_dir=models_dir,
        seed=seed,
        epochs=epochs,
        data=data,
        work_dir=work_dir,
        architecture=architecture,
        allow_breaking=allow_breaking,
        patience=patience,
        tensorboard=tensorboard,
        mixed_precision=mixed_precision,
        distribute=distribute,
    )
    run(names, order, if_missing=if_missing)
