"""The certificate that the gateway shows on its ports, and whose certificates callers must show, as the settings say."""

from signet.serving.gateway.settings import Settings
from signet.serving.tls import following
from signet.serving.tls.credentials import HTTP1, HTTP2
from signet.serving.tls.following import Followed


def of_settings(settings: Settings) -> Followed | None:
    """For the HTTP and the gRPC port; None: both speak in the clear. Raises `UsageError` for files that cannot be used."""
    if not settings.tls_cert_file or not settings.tls_key_file:
        return None
    files = (settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
    return following.of_server(*files, protocols=[HTTP1, HTTP2])
