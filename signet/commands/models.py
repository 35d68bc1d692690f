"""`signet models`: what a server serves."""

from signet.clients.client.connecting import DEFAULT_URL, Url
from signet.commands.connection import ConnectionOptions
from signet.commands.spread import spread


@spread
def models(
    url: Url = DEFAULT_URL,
    *,
    connection: ConnectionOptions,
) -> None:
    """Show what is served: models, versions, and each signature with its inputs and outputs; None is any size."""
    from signet.clients.commands import models as run

    run(url, connection.access())
