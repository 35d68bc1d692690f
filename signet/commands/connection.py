"""The options of every command that asks a server: what is shown to it."""

from dataclasses import dataclass, field
from typing import Annotated

from signet.clients.client import connecting
from signet.serving.options import Option

SECTION = "Connection"
"""The heading of the help, below which --url stands as well."""


@dataclass(frozen=True)
class ConnectionOptions:
    """What is shown to a server, as the command line says it."""

    header: Annotated[
        list[str],
        Option(
            "Sent with every request, 'NAME: VALUE'; may be given again. $SIGNET_TOKEN is sent as a bearer token, "
            "$SIGNET_KEY as the gateway's key.",
            metavar="'NAME: VALUE'",
            section=SECTION,
        ),
    ] = field(default_factory=list)
    key_file: Annotated[
        str,
        Option("File with the gateway's key, as `signet keys add` prints it, instead of $SIGNET_KEY.", section=SECTION),
    ] = ""
    ca_file: Annotated[
        str,
        Option(
            "PEM of who may sign the server's certificate, besides the usual ones.",
            variable="SIGNET_CA_FILE",
            section=SECTION,
        ),
    ] = ""
    certificate: Annotated[
        str,
        Option(
            "PEM of this side's own certificate, and of its key if --certificate-key is not given.",
            variable="SIGNET_CERTIFICATE",
            section=SECTION,
        ),
    ] = ""
    certificate_key: Annotated[
        str,
        Option(
            "PEM of the key of --certificate; --key is the same.",
            variable="SIGNET_CERTIFICATE_KEY",
            section=SECTION,
            also="--key",
        ),
    ] = ""

    def access(self) -> connecting.Access:
        """What these options, $SIGNET_TOKEN and $SIGNET_KEY say. Raises `UsageError`."""
        return connecting.of_options(self.header, self.ca_file, self.certificate, self.certificate_key, self.key_file)
