"""`signet export`: a Keras model of any origin becomes a SavedModel that was checked."""

from pathlib import Path
from typing import Annotated

import typer

from signet.commands.breaking import AllowBreaking


def export_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="The model: a .keras file, or an .h5 or .hdf5 file of older versions.", metavar="FILE.keras"
        ),
    ],
    name: Annotated[str, typer.Option(help="What it is to be called, as in /v1/models/NAME:predict.")],
    models_dir: Annotated[
        Path, typer.Option(help="The export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models"),
    labels: Annotated[
        Path | None,
        typer.Option(
            help="What the classes are called: a label in each line, for the output that has so many, or JSON "
            '{"OUTPUT": ["label", …]}. The export then gives OUTPUT_label beside the scores.',
            show_default=False,
        ),
    ] = None,
    example: Annotated[
        Path | None,
        typer.Option(
            help='Rows to prove the export by: JSON {"INPUT": [row, …]} or a predict request, or numpy\'s .npz. '
            "Without it rows are drawn at random. A model whose `call` is Python code needs it. In JSON, numbers without "
            "a point are int32, others float32.",
            show_default=False,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name for an input or output: OLD=NEW; may be given again. Names such as input_layer, which say "
            "nothing to callers, are refused.",
            metavar="OLD=NEW",
            show_default=False,
        ),
    ] = None,
    code: Annotated[
        Path | None,
        typer.Option(help="A Python file that defines the model's own classes. It is run.", show_default=False),
    ] = None,
    allow_lambda: Annotated[
        bool, typer.Option("--allow-lambda", help="Run the code in Lambda layers. Only for files that you trust.")
    ] = False,
    xla: Annotated[
        bool,
        typer.Option(
            "--xla",
            help="Compile the network, for sizes that are rounded up: recurrent ones run 2 to 4 times as fast, the first "
            "request of a size waits about a second. TensorFlow Serving then needs --xla_cpu_compilation_enabled.",
        ),
    ] = False,
    scores: Annotated[
        str | None,
        typer.Option(
            help="For --labels of an output with one number: probability takes the second label above 0.5, logit above 0. "
            "Default: as its last activation says; needed only where that cannot be told.",
            metavar="probability|logit",
            show_default=False,
        ),
    ] = None,
    not_batched: Annotated[
        bool,
        typer.Option(
            "--not-batched",
            help="Export a model whose answers are no rows of their own (a matrix of similarities, a mean over the batch), or "
            "are random: it is marked so, and servers never join its requests.",
        ),
    ] = False,
    allow_ops: Annotated[
        str,
        typer.Option(
            help="NAME[,NAME]: operations such as ReadFile that the model may reach though they touch files; others are "
            "marked in its card, and `signet serve` refuses all that its own --allow-ops does not name.",
            show_default=False,
        ),
    ] = "",
    allow_breaking: AllowBreaking = False,
) -> None:
    """Export any Keras 3 model as a SavedModel with named inputs and outputs that was checked, ready to be served.

    One or several inputs and outputs, as lists or dicts. What is published was loaded again as a server does it, and
    answered as the Keras model did; else nothing is published, and one sentence says why. The folder assets.extra/ of
    the version has its card, a picture, examples and warm-up requests.

    A SavedModel made elsewhere needs no export: copy it to MODELS_DIR/NAME/1.
    """
    from signet.training.export import card, options

    order = options.Order(
        file=file,
        name=name,
        models_dir=models_dir,
        labels=labels,
        example=example,
        renames=rename or (),
        code=code,
        allow_lambda=allow_lambda,
        xla=xla,
        scores=scores,  # type: ignore[arg-type]  # checked by `run`
        not_batched=not_batched,
        allow_ops=allow_ops,
        allow_breaking=allow_breaking,
    )
    version = options.run(order)
    typer.echo(str(version))
    for line in card.brief(version):
        typer.echo(f"  {line}")
