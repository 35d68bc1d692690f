"""Asks replicas what they know of a model's release.

    url ──every address of its host──▶ GET /v1/models/MODEL/release ──parse──▶ Replica, …

The name of a headless Service stands for all of its pods: each is asked. With TLS a name is asked as one, since a
certificate is that of the name.
"""

import socket
import time
from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit

import httpx

from signet.clients.client.connecting import Access, proxy_of, signed_in, with_scheme, without_password
from signet.serving.errors import NotDone, UsageError
from signet.serving.releases import replica
from signet.serving.releases.replica import Replica

_TIMEOUT_S = 10.0
_READ_S, _AGAIN_S = 10.0, 0.25
"""Seconds that replicas get to read a release, and between two questions whether they have."""
_MOST_ADDRESSES = 1000


def ask(urls: Iterable[str], model: str, access: Access) -> list[Replica]:
    """All replicas behind some URLs, each once. Raises `UsageError` where one does not answer: nobody knows what it has seen."""
    found: list[Replica] = []
    for url in map(with_scheme, urls):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--url is {without_password(url)[:200]!r}; expected http://HOST:PORT")
        for address in _addresses(url):
            found += _ask(url, address, model, access)
    return replica.different(found)


def ask_once_read(urls: Sequence[str], model: str, access: Access, generation: int) -> list[Replica]:
    """As `ask`; those that have not read this generation of the release yet get some seconds: it may be a moment old.

    generation: 0 for any, and none.
    """
    ends = time.monotonic() + _READ_S
    while True:
        found = ask(urls, model, access)
        behind = any((one.release.generation if one.release else 0) < generation for one in found)
        if not behind or time.monotonic() > ends:
            return found
        time.sleep(_AGAIN_S)


def _addresses(url: str) -> list[str]:
    """HOST:PORT of each one behind a URL."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    if parts.scheme == "https" or proxy_of(url):
        return [_pair(host, port)]
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{host!r} has no address: {error}") from error
    families = {info[0] for info in infos}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6  # a pod has one of each
    pairs = {_pair(str(info[4][0]), port) for info in infos if info[0] == family}
    return sorted(pairs)[:_MOST_ADDRESSES]


def _pair(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ask(url: str, address: str, model: str, access: Access) -> list[Replica]:
    parts = urlsplit(url)
    where = f"{parts.scheme}://{address}{parts.path.rstrip('/')}/v1/models/{quote(model, safe='')}/release"
    headers = {"Host": parts.netloc.rpartition("@")[2], **signed_in(url), **dict(access.headers)}
    verify = access.ssl_context() if parts.scheme == "https" else True
    try:
        with (
            httpx.Client(verify=verify, timeout=_TIMEOUT_S, proxy=proxy_of(url) or None, trust_env=False) as client,
            client.stream("GET", where, headers=headers) as answer,
        ):
            content = b""
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > replica.MOST_BYTES:
                    raise NotDone(f"{where} answers with more than {replica.MOST_BYTES} bytes")
    except httpx.HTTPError as error:
        raise NotDone(f"{where} does not answer: {error or type(error).__name__}") from error
    if answer.status_code != httpx.codes.OK:
        raise NotDone(f"{where} answers with {answer.status_code}: {content[:300].decode(errors='replace')}")
    try:
        return replica.parse(content)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
