"""A certificate with its key, and whose certificates are trusted: PEM text, checked whole, and made a context of TLS.

PEM ──checked──▶ Credentials ──▶ server_context, client_context: 1.2 or newer, forward secrecy, no renegotiation
"""

import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.tls import certificate_dates
from signet.serving.tls.certificate_dates import Validity

HTTP1, HTTP2 = "http/1.1", "h2"
"""What is agreed on by ALPN."""

_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: with forward secrecy, authenticated. Those of 1.3 all are."""


@dataclass(frozen=True)
class Credentials:
    """What one side shows, and whom it trusts. Names are for messages: files, or what stands for them."""

    certificate: bytes | None = None
    """The certificate, and those between it and a root; None: none is shown."""
    key: bytes = field(default=b"", repr=False)
    roots: bytes | None = None
    """Whom the other side's certificate must descend from; None, for a server: none is asked for."""
    certificate_name: str = "the certificate"
    key_name: str = "the key"
    roots_name: str = "the roots"

    @property
    def validity(self) -> Validity | None:
        """When the certificate that is shown is valid; None if none is. Raises `UsageError`."""
        if self.certificate is None:
            return None
        try:
            return certificate_dates.of_chain(self.certificate)
        except ValueError as error:
            raise UsageError(f"{self.certificate_name} holds no certificates in PEM: {error}") from error

    def problem(self) -> str:
        """What a caller will hold against the certificate that is shown; empty: nothing."""
        validity, now = self.validity, time.time()
        if validity and validity.ends_s < now:
            return f"{self.certificate_name} has expired at {_time(validity.ends_s)}"
        if validity and validity.begins_s > now:
            return f"{self.certificate_name} is not valid before {_time(validity.begins_s)}"
        return ""


def server_context(credentials: Credentials, protocol: str) -> ssl.SSLContext:
    """The context of a server. protocol: to agree on by ALPN. With roots each client has to show a certificate.

    Raises `UsageError` for what is no certificate, no key, or the key of another certificate.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials, protocol)
    if credentials.roots is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(credentials: Credentials, protocol: str) -> ssl.SSLContext:
    """The context of a client, which trusts the roots alone and verifies names. Raises `UsageError`."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, credentials, protocol)


def _context(kind: int, credentials: Credentials, protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols([protocol])
    if credentials.certificate is not None:
        _show(context, credentials, credentials.certificate)
    if credentials.roots is not None:
        _trust(context, credentials, credentials.roots)
    return context


def _show(context: ssl.SSLContext, credentials: Credentials, pem: bytes) -> None:
    certificate, key = credentials.certificate_name, credentials.key_name
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise UsageError(f"{certificate} holds no certificate in PEM")
    if b"PRIVATE KEY-----" not in credentials.key:
        raise UsageError(f"{key} holds no private key in PEM")
    if b"ENCRYPTED" in credentials.key:
        raise UsageError(f"{key} is encrypted; expected a private key without a password")
    try:
        with _as_file(pem) as chain, _as_file(credentials.key) as private:
            context.load_cert_chain(chain, private, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise UsageError(f"{key} is not the key of the certificate in {certificate}") from error
        raise UsageError(f"{certificate} and {key} cannot be used: {reason or error}") from error
    _ = credentials.validity  # raises what is wrong with it


def _trust(context: ssl.SSLContext, credentials: Credentials, roots: bytes) -> None:
    try:
        context.load_verify_locations(cadata=roots.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        raise UsageError(f"{credentials.roots_name} holds no certificates in PEM: {reason or error}") from error


@contextlib.contextmanager
def _as_file(text: bytes) -> Iterator[str]:
    """The path of a file with the text, as Python reads keys from files alone: in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("pem"), "r+b") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as folder:  # for nobody else, and gone at once
            path = Path(folder) / "pem"
            path.write_bytes(text)
            yield str(path)


def _no_password() -> str:
    """An encrypted key is refused rather than asked for at the terminal."""
    return ""


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
