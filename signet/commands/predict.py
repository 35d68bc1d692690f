"""`signet predict`: a served model is asked once."""

from typing import Annotated

import typer

from signet.clients.client.connecting import DEFAULT_URL, Url
from signet.commands.connection import ConnectionOptions
from signet.commands.spread import spread


@spread
def predict(
    name: Annotated[str, typer.Argument(help="The model; `signet models` lists them.", metavar="NAME")],
    inputs: Annotated[
        str,
        typer.Option(
            help="The inputs by name, each a list with one element a row: '{\"pixels\": [[0, 3, 16]]}'; "
            'bytes as {"b64": "…"}. @FILE reads them from a file, - from standard input.'
        ),
    ],
    signature: Annotated[
        str | None, typer.Option(help="Which way to call the model. [default: serving_default]", show_default=False)
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="Version to ask. Default: the highest that is served.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    timeout_s: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.001)] = 30.0,
    *,
    connection: ConnectionOptions,
) -> None:
    """Ask a served model once and print its outputs by name, as JSON.

    Ends with exit code 1 and one sentence when the server cannot be reached or does not take the inputs.
    """
    from signet.clients.commands import predict as run

    access = connection.access()
    run(name, inputs, url=url, access=access, version=version, signature=signature, timeout_s=timeout_s)
