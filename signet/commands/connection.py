"""The options of every command that asks a server: where it is, and what is shown to it."""

from typing import Annotated

import typer

Url = Annotated[str, typer.Option(help="Where the gateway answers, such as http://HOST:PORT.", envvar="SIGNET_URL")]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        help="Sent with every request, 'NAME: VALUE'; may be given again. $SIGNET_TOKEN is sent as a bearer token.",
        metavar="NAME: VALUE",
        show_default=False,
    ),
]
CaFile = Annotated[
    str, typer.Option(help="PEM of who may sign the server's certificate, besides the usual ones.", show_default=False)
]
Certificate = Annotated[
    str,
    typer.Option(help="PEM of this side's own certificate, and of its key if --key is not given.", show_default=False),
]
Key = Annotated[str, typer.Option(help="PEM of the key of --certificate.", show_default=False)]
