"""How a client gets to its server: the URL, what it shows there, and the proxy on the way.

    url, headers, token, key, ca_file, client_certificate ──access──▶ Access        $HTTP_PROXY … ──proxy_of──▶ a proxy, or none

A server on this machine is never asked through a proxy. Messages name the proxy, and no password.
"""

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

from signet.serving.errors import UsageError
from signet.serving.options import Option

if TYPE_CHECKING:
    import ssl

URL_VARIABLE, TOKEN_VARIABLE, KEY_VARIABLE = "SIGNET_URL", "SIGNET_TOKEN", "SIGNET_KEY"
DEFAULT_URL = "http://localhost:8080"
Url = Annotated[
    str,
    Option("Where the gateway answers: http://HOST:PORT, or HOST:PORT.", variable=URL_VARIABLE, section="Connection"),
]
FilePath = str | os.PathLike[str]
Certificate = FilePath | tuple[FilePath, FilePath]
"""A PEM file with a client's certificate and its key, or the two files."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_KEY = re.compile(r"[\x21-\x7e]+")
_KEY_FILE_BYTES = 4096
_SCHEMELESS = re.compile(r"(?:[^\s/?#@]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/[^\s]*)?\Z")


@dataclass(frozen=True)
class Access:
    """What a client shows to its server."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The headers of every request, the bearer token and the key of the gateway among them."""
    ca_file: str = ""
    """PEM of those who may sign the server's certificate, beside the usual ones."""
    certificate: str = ""
    """PEM of the client's own certificate."""
    key: str = ""
    """PEM of that certificate's key; empty: in the same file."""

    @property
    def has_tls(self) -> bool:
        """Whether there is something that only TLS needs."""
        return bool(self.ca_file or self.certificate)

    def ssl_context(self) -> "ssl.SSLContext":
        """The TLS context of a client that shows this. Raises `UsageError` for files that cannot be used."""
        import ssl  # noqa: PLC0415  # needed for TLS alone

        import httpx  # noqa: PLC0415  # knows where the usual ones are; GrpcClient hardly needs it

        context = httpx.create_ssl_context()
        for path in filter(None, (self.ca_file, self.certificate, self.key)):
            if not Path(path).is_file():
                raise UsageError(f"{path} does not exist; expected a PEM file of certificates or a key")
        try:
            if self.ca_file:
                context.load_verify_locations(self.ca_file)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except (ssl.SSLError, OSError) as error:
            raise UsageError(f"{self.ca_file or self.certificate} is no PEM file that can be used: {error}") from error
        return context


NOTHING = Access()


def access(
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
    ca_file: FilePath | None = None,
    client_certificate: Certificate | None = None,
    key: str | None = None,
) -> Access:
    """What a client shows, from what its caller says.

    token: sent as `Authorization: Bearer`; None: that of $SIGNET_TOKEN, if any; empty: none. key: the gateway's, as `signet keys
    add` prints it, sent as `X-API-Key`, which leaves the other to whatever stands before it; None: that of $SIGNET_KEY, if any.

    client_certificate: a PEM file with certificate and key, or the two files. Raises `UsageError`.
    """
    if not isinstance(headers, Mapping | None):
        raise UsageError(f"headers is a {type(headers).__name__}; expected values by name")
    shown = dict(headers or {})
    for name, value in shown.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise UsageError(f"the header's name is {name!r}; expected letters, digits and hyphens")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise UsageError(f"the value of the header {name!r} is no ASCII text of one line")
    bearer = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
    if bearer and not any(name.lower() == "authorization" for name in shown):
        if not isinstance(bearer, str) or not _HEADER_VALUE.fullmatch(bearer):
            raise UsageError("the token is no ASCII text of one line")
        shown["Authorization"] = f"Bearer {bearer}"
    shown_key = os.environ.get(KEY_VARIABLE, "").strip() if key is None else key
    if shown_key and not any(name.lower() == "x-api-key" for name in shown):
        if not isinstance(shown_key, str) or not _KEY.fullmatch(shown_key):
            raise UsageError("the key is no ASCII text without blanks; expected what `signet keys add` prints")
        shown["X-API-Key"] = shown_key
    pair = client_certificate if isinstance(client_certificate, tuple) else (client_certificate or "", "")
    try:
        files = [os.fspath(path or "") for path in (ca_file, *pair)]
    except TypeError as error:
        raise UsageError(f"ca_file and client_certificate are the paths of PEM files: {error}") from error
    if len(files) != 3:
        raise UsageError(f"client_certificate is {len(files) - 1} paths; expected one, or certificate and key")
    return Access(tuple(shown.items()), *files)


def of_options(headers: list[str] | None, ca_file: str, certificate: str, key: str, key_file: str = "") -> Access:
    """What a client shows, from the options of a command, $SIGNET_TOKEN and $SIGNET_KEY. Raises `UsageError`."""
    if key and not certificate:
        raise UsageError("--certificate-key is that of a --certificate, which is not given")
    pair = (certificate, key) if certificate else None
    return access(header_options(headers or []), None, ca_file, pair, key_in(key_file) if key_file else None)


def key_in(path: FilePath) -> str:
    """The key that a file holds, as `signet keys add` prints it. Raises `UsageError`, which does not show it."""
    try:
        with open(path, "rb") as file:
            text = file.read(_KEY_FILE_BYTES).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise UsageError(f"the key in {os.fspath(path)} cannot be read: {error.strerror}") from error
    if not _KEY.fullmatch(text):
        raise UsageError(f"{os.fspath(path)} holds no key alone; expected what `signet keys add` prints")
    return text


def signed_in(url: str) -> dict[str, str]:
    """The header for a user and password in a URL."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def with_scheme(url: str) -> str:
    """`localhost:8080` -> `http://localhost:8080`; what has a scheme, or is no HOST:PORT, stays."""
    return f"http://{url}" if _SCHEMELESS.match(url) else url


def usual_url() -> str:
    """$SIGNET_URL, else `DEFAULT_URL`."""
    return os.environ.get(URL_VARIABLE) or DEFAULT_URL


def header_options(options: list[str]) -> dict[str, str]:
    """The headers by name, from options `--header 'NAME: VALUE'`. Raises `UsageError`."""
    found = {}
    for option in options:
        name, colon, value = option.partition(":")
        if not colon:
            raise UsageError("--header has no ':'; expected 'NAME: VALUE'")
        found[name.strip()] = value.strip()
    return found


def without_password(url: str) -> str:
    """A URL as it may be shown: whoever signs in there is left out."""
    return re.sub(r"^([a-z0-9+.-]+://)?[^/?#]*@", r"\1", url, flags=re.IGNORECASE)


def proxy_of(url: str) -> str:
    """The proxy that the environment names for a URL; empty: none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_here(host):
        return ""
    import urllib.request  # noqa: PLC0415  # takes long, and servers on this machine are never asked through a proxy

    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(host):
        return ""
    found = proxies.get(parts.scheme) or proxies.get("all") or ""
    return found if not found or "://" in found else f"http://{found}"


def way_of(address: str) -> str:
    """HOST:PORT, and the proxy through which gRPC goes there, for messages."""
    names = ("grpc_proxy", "https_proxy", "http_proxy")
    proxy = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if not proxy or is_here(address.rpartition(":")[0].strip("[]")):
        return address
    return f"{address} through the proxy {without_password(proxy)}"


def is_here(host: str) -> bool:
    """Whether a host is this machine, as far as its name tells."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
