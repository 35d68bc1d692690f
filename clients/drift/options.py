"""The options of `signet drift`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from signet.serving.options import Option


@dataclass(frozen=True)
class DriftOptions:
    """What is to be compared, and what counts as drift."""

    model: Annotated[str, Option("The model.", metavar="MODEL", is_argument=True, complete="here")]
    log: Annotated[str, Option("The folder, s3://… or gs://…, that `signet serve --request-log` writes to.")] = (
        "requests"
    )
    since: Annotated[
        str, Option("Only what came since then: 30m, 24h, 7d, or a time such as 2026-11-29T12:00 (UTC).")
    ] = ""
    reference: Annotated[
        str,
        Option(
            "A request log to compare with, instead of the card: of another time or place; with --since its rows before that."
        ),
    ] = ""
    signature: Annotated[str, Option("Which way the model is called.")] = "serving_default"
    version: Annotated[int | None, Option("Of the rows. [default: the highest in the log]")] = None
    models_dir: Annotated[Path, Option("Where the card is: MODELS_DIR/MODEL/VERSION/assets.extra/model-card.json.")] = (
        Path("models")
    )
    psi: Annotated[float, Option("A column drifts above this population stability index.", min=0)] = 0.2
    ks: Annotated[float, Option("Or above this Kolmogorov-Smirnov distance.", min=0, max=1)] = 0.2
    min_rows: Annotated[int, Option("Fewer rows say nothing.", min=1)] = 200
    json: Annotated[bool, Option("Print the result as JSON.")] = False
