"""`signet models`: what a server serves."""

from signet.commands.connection import CaFile, Certificate, Header, Key, Url


def models(
    url: Url = "http://localhost:8080",
    header: Header = None,
    ca_file: CaFile = "",
    certificate: Certificate = "",
    key: Key = "",
) -> None:
    """Show what is served: models, versions, and each signature with its inputs and outputs; None is any size."""
    from signet.clients.client.connecting import of_options
    from signet.clients.commands import models as run

    run(url, of_options(header, ca_file, certificate, key))
