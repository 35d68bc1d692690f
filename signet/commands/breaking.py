"""The option of both commands that publish a version."""

from typing import Annotated

import typer

AllowBreaking = Annotated[
    bool,
    typer.Option(
        "--allow-breaking",
        help="Publish even if callers of the newest version could not go on: a name removed, another dtype or rank, "
        "another number of classes. Without it such an export is refused, with what changed.",
    ),
]
