"""A collector of traces at the address of its OTLP/HTTP port: bytes go there, and it says whether it has taken them."""

import logging
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import httpx

from signet.serving.errors import UsageError

_PATH = "/v1/traces"
_TIMEOUT_S = 5.0
"""Seconds that connecting, writing and reading may take, each."""
_MOST_ANSWER = 1 << 16
"""Bytes of an answer that are read."""
_PASSING = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Those after which the same may be sent again, says OTLP."""


class NotTaken(Exception):
    """The collector has not taken what was sent."""

    def __init__(self, problem: str, *, passing: bool) -> None:
        """passing: whether it may take the same later on."""
        super().__init__(problem)
        self.passing = passing


class Address(NamedTuple):
    """Where a collector is."""

    url: str
    shown: str
    """Without a user's name and password."""


def address(text: str) -> Address:
    """The address that a setting gives, with the usual path where it has none. Raises `UsageError`."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(
            "otlp is no address of a collector's OTLP/HTTP port; expected one such as http://localhost:4318"
        )
    if url.path in ("", "/"):
        url = url.copy_with(path=_PATH)
    return Address(str(url), str(url.copy_with(username=None, password=None, query=None)))


class Collector:
    """For one thread."""

    def __init__(self, address: Address, headers: Mapping[str, str], ca_file: str) -> None:
        """headers: sent with everything. ca_file: PEM roots; empty: the usual ones. Raises `UsageError`."""
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # or each batch has a line
        self.address = address
        try:
            verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{ca_file} holds no certificates in PEM: {error}") from error
        self._client = httpx.Client(
            headers={**headers, "Content-Type": "application/x-protobuf"}, timeout=_TIMEOUT_S, verify=verify
        )

    def post(self, data: bytes) -> bytes:
        """What the collector answers, when it has taken the bytes. Raises `NotTaken`."""
        try:
            with self._client.stream("POST", self.address.url, content=data) as response:
                answer = b""
                for piece in response.iter_bytes(_MOST_ANSWER):
                    answer = piece
                    break
                status = response.status_code
        except (httpx.HTTPError, OSError) as error:
            raise NotTaken(f"{type(error).__name__}: {error}", passing=True) from error
        if not response.is_success:
            raise NotTaken(f"it answers {status} {response.reason_phrase}", passing=status in _PASSING)
        return answer

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()
