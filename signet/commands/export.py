"""`signet export`: a Keras model of any origin becomes a SavedModel that was checked."""

import typer

from signet.commands.spread import spread
from signet.training.export.options import ExportOptions


@spread
def export(options: ExportOptions) -> None:
    """Export any Keras 3 model as a SavedModel with named inputs and outputs that was checked, ready to be served.

    One or several inputs and outputs, as lists or dicts. What is published was loaded again as a server does it, and
    answered as the Keras model did; else nothing is published, and one sentence says why. The folder assets.extra/ of
    the version has its card, a picture, examples and warm-up requests.

    A SavedModel made elsewhere needs no export: copy it to MODELS_DIR/NAME/1.

    signet export churn.keras --name churn
    signet export churn.keras --name churn --labels labels.txt
    signet export old.h5 --name ages --rename input_1=age
    """
    from signet.serving.process.terminal import console
    from signet.training.export import card
    from signet.training.export.description import export_file
    from signet.training.export.export_progress import ExportProgress

    with ExportProgress(console(stderr=True)) as progress:
        version = export_file(options, progress.say)
    typer.echo(str(version))
    for line in card.brief(version):
        typer.echo(f"  {line}")
