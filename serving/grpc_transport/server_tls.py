"""TLS of our own gRPC server: 1.2 or newer, with h2 agreed on by ALPN; client certificates where they are asked for.

PEM text ──▶ ssl.SSLContext
"""

import ssl
import tempfile
from pathlib import Path

from signet.serving.errors import UsageError


def tls_context(key: str, certificate: str, client_roots: str = "") -> ssl.SSLContext:
    """The context. client_roots: what clients' certificates must descend from, which all must show then.

    Raises `UsageError` for what is no key, no certificate, or a key of another certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    # Python reads these from files alone; the folder is for nobody else, and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        key_file, certificate_file = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        key_file.write_text(key)
        certificate_file.write_text(certificate)
        try:
            context.load_cert_chain(certificate_file, key_file)
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(f"the server's key and certificate cannot be used: {_reason(error)}") from error
    if client_roots:
        try:
            context.load_verify_locations(cadata=client_roots)
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(f"the roots of clients' certificates cannot be used: {_reason(error)}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _reason(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
