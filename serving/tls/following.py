"""Certificates followed: files that are renewed change what new connections get, and no connection that there is.

    files ──read, each second──▶ as before? ──no──▶ checked whole ──▶ contexts of new handshakes
                                                         └─ half written, of two renewals, expired: the old ones stay; it is
                                                            logged once, counted, and tried again

By content, so that it is all the same how files are replaced: in place, by rename, or a folder behind a link, as in Kubernetes.
"""

import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.process.supervision import CERTIFICATES, Background, Failures
from signet.serving.tls.credentials import Credentials, client_context, server_context

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at the files."""
_MOST_BYTES = 1 << 20
"""Bytes of a file of certificates or of a key, at most."""

Content = tuple[bytes, ...]
_ByProtocol = Mapping[str, ssl.SSLContext]
"""By what is agreed on by ALPN."""


class Followed:
    """The credentials of one side of connections, as its files say. Any thread may ask; one looks at a time, under the lock."""

    def __init__(
        self,
        role: str,
        files: Sequence[Path],
        read: Callable[[Content], Credentials],
        context: Callable[[Credentials, str], ssl.SSLContext],
        protocols: Sequence[str],
    ) -> None:
        """role: what the credentials are for, in messages. read: makes them of the files' content; raises `UsageError`.

        Raises `UsageError` for files that cannot be used. A certificate that has expired is used, with a warning.
        """
        self.role = role
        self._files, self._read, self._context, self._protocols = files, read, context, protocols
        self._lock = threading.Lock()
        self._content = _contents(files)
        self._refused: tuple[Content | None, str] = (None, "")
        """What was looked at last and not used, and why."""
        self._now = self._made(self._content)
        """Replaced as a whole."""
        if problem := self.credentials.problem():
            log.warning("%s certificate: %s", role, problem)

    @property
    def credentials(self) -> Credentials:
        """Those of new connections."""
        return self._now[0]

    @property
    def expires_s(self) -> float | None:
        """When the certificate that is shown ends, in seconds since 1970; None if none is."""
        validity = self.credentials.validity
        return validity.ends_s if validity else None

    def context(self, protocol: str) -> ssl.SSLContext:
        """That of a new connection which is to agree on the protocol."""
        return self._now[1][protocol]

    def look(self) -> bool:
        """Take up what the files say now; False when that cannot be used, and what they said before still holds."""
        with self._lock:
            content: Content | None = None
            try:
                content = _contents(self._files)
                if content == self._content:
                    self._refused = (None, "")
                    return True
                if self._refused[0] == content:
                    return False
                made = self._made(content)
                problem = made[0].problem()
                if problem and not self.credentials.problem():
                    raise UsageError(problem)
            except UsageError as error:
                if self._refused[1] != str(error):
                    log.error("%s certificate: %s; the one before stays in use", self.role, error)
                self._refused = (content, str(error))
                return False
            self._content, self._now, self._refused = content, made, (None, "")
        log.info("%s certificate: renewed%s", self.role, f", but {problem}" if problem else "")
        return True

    def _made(self, content: Content) -> tuple[Credentials, _ByProtocol]:
        credentials = self._read(content)
        return credentials, {protocol: self._context(credentials, protocol) for protocol in self._protocols}


def of_server(
    certificate: Path, key: Path, roots: Path | None, protocols: Sequence[str], role: str = "server"
) -> Followed:
    """What a server shows, from files; with `roots` each client has to show a certificate too. Raises `UsageError`."""
    return Followed(role, *_of_files(certificate, key, roots), server_context, protocols)


def of_client(roots: Path, certificate: Path | None, key: Path | None, protocol: str, role: str = "client") -> Followed:
    """Whom a client trusts, and what it shows, from files. Raises `UsageError`."""
    return Followed(role, *_of_files(certificate, key, roots), client_context, [protocol])


def follow(followed: Followed, failures: Failures, look_s: float = LOOK_S) -> Background:
    """A thread that looks at the files, from now on, until it is stopped."""

    def step() -> float:
        if not followed.look():
            failures.count(CERTIFICATES)
        return look_s

    following = Background(CERTIFICATES, step, failures, after_s=look_s)
    following.start()
    return following


def _of_files(
    certificate: Path | None, key: Path | None, roots: Path | None
) -> tuple[list[Path], Callable[[Content], Credentials]]:
    named = {"certificate": certificate, "key": key, "roots": roots}
    given = {name: path for name, path in named.items() if path is not None}
    names = {f"{name}_name": str(path) for name, path in given.items()}

    def read(content: Content) -> Credentials:
        return Credentials(**dict(zip(given, content, strict=True)), **names)  # type: ignore[arg-type]  # bytes, then names

    return list(given.values()), read


def _contents(files: Sequence[Path]) -> Content:
    return tuple(map(_content, files))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES} bytes; expected certificates or a key in PEM")
    return content
