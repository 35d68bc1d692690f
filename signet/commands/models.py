"""`signet models`: what a server serves."""

from typing import Annotated

from signet.clients.client.connecting import DEFAULT_URL, Url
from signet.commands.connection import ConnectionOptions
from signet.commands.spread import spread
from signet.serving.options import Option


@spread
def models(
    url: Url = DEFAULT_URL,
    json: Annotated[bool, Option("Print it as JSON.")] = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Show what is served: models, versions, and each signature with its inputs and outputs; None is any size.

    Into a pipe goes a line for each signature, with tabs between its columns.

    signet models
    signet models --url gateway:8080 --json
    signet models | grep digits | cut -f 3-5
    """
    from signet.clients.commands import models as run

    run(url, connection.access(), json)
