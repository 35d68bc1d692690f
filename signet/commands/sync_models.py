"""`signet sync-models`: models are copied from a bucket into a folder."""

from pathlib import Path
from typing import Annotated

import typer


def sync_models(
    source: Annotated[str, typer.Argument(help="Where models lie, such as s3://bucket/models.", metavar="ADDRESS")],
    folder: Annotated[Path, typer.Argument(help="The folder that becomes like it.", metavar="FOLDER")],
    versions: Annotated[int, typer.Option(help="Highest versions of each model to keep.", min=1)] = 2,
    poll_s: Annotated[
        float, typer.Option(help="Go on, with so many seconds between two looks; 0: one look.", min=0)
    ] = 0,
) -> None:
    """Copy models from a bucket into a folder, for servers that read folders: new versions whole, old ones removed.

    Ends with exit code 1 and one sentence when the bucket cannot be read at first; later it is tried again.

    signet sync-models s3://bucket/models models
    signet sync-models gs://bucket/models models --poll-s 30
    """

    from signet.serving.models import model_store
    from signet.serving.process import log_lines, output
    from signet.serving.releases.store import pinned

    output.log_to_stderr("INFO", log_lines.TextFormatter("%(levelname)s %(message)s"))
    store = model_store.ModelStore(source, folder, versions, pinned=pinned(source, folder))
    model_store.tell(store, store.sync())
    if poll_s:
        model_store.follow(store, poll_s)
