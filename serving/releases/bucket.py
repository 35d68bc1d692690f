"""Small files in an object store, replaced only by who has seen what is there: by conditional puts.

    s3://   put If-Match ETAG, or If-None-Match *               (S3 since November 2024, MinIO, R2)
    gs://   upload with ifGenerationMatch GENERATION, or 0

A store that takes such a put without looking at its condition would let two writers win. So the first change of a process is
tried out beside: where a put succeeds that must not, the store is refused.
"""

import errno
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote

from signet.serving.errors import UsageError
from signet.serving.models import model_store
from signet.serving.releases.files import Files, Found

PROBE = ".release-probe"
_KEPT_BYTES, _MOST_KEPT = 16 << 10, 4096
"""Bytes of a file that is kept in memory, and how many are."""
_LOST = {errno.EINVAL, errno.EBUSY}
"""What s3fs makes of 412 Precondition Failed, and of 409, while another one is putting."""


class _Conditional(Protocol):
    """Puts of one kind of store. They raise whatever its library raises."""

    WRONG: Any
    """A tag that no object has."""

    def tag(self, path: str) -> Any:
        """What a condition names the object by; raises `FileNotFoundError`."""

    def put(self, path: str, content: bytes, tag: Any) -> None:
        """Only if the object has that tag; None: only if there is none. Raises OSErrors of the kinds that `_lost` knows."""


class Bucket(Files):
    """An address such as s3://bucket/models. Paths are MODEL/FILE."""

    def __init__(self, address: str) -> None:
        """Raises `UsageError` for a store that has no conditional puts here."""
        scheme = address.partition("://")[0]
        if scheme not in _KINDS:
            raise UsageError(
                f"releases in {address} cannot be changed safely: {scheme}:// has no conditional put here; "
                f"expected a folder, s3:// or gs://"
            )
        self._address = address
        self._files, self._root = model_store.file_system(address)
        self._puts: _Conditional = _KINDS[scheme](self._files)
        self._read: dict[str, Found] = {}
        """Path -> the small file as it was read last; any thread. What has the same tag is not fetched again."""
        self._tried = False
        """Whether the store is known to keep to conditions."""

    def read(self, path: str, most_bytes: int) -> Found | None:
        place = f"{self._root}/{path}"
        try:
            tag = self._puts.tag(
                place
            )  # before the content: a put that follows fails rather than replace what was not seen
            if (known := self._read.get(path)) is not None and known.tag == tag:
                return known
            content = self._files.cat_file(place, start=0, end=most_bytes + 1)
        except FileNotFoundError:
            return None
        except Exception as error:  # each kind of store has errors of its own
            raise UsageError(f"{self._address}/{path} cannot be read: {error or type(error).__name__}") from error
        if len(content) > most_bytes:
            raise UsageError(f"{self._address}/{path} has more than {most_bytes} bytes, which is the most")
        found = Found(content, tag)
        if len(content) <= _KEPT_BYTES and (path in self._read or len(self._read) < _MOST_KEPT):
            self._read[path] = found
        return found

    def replace(self, path: str, content: bytes, seen: Found | None) -> bool:
        try:
            self._try_out(f"{self._root}/{path.partition('/')[0]}/{PROBE}")
            return self._put(f"{self._root}/{path}", content, seen and seen.tag)
        except UsageError:
            raise
        except Exception as error:  # each kind of store has errors of its own
            raise UsageError(f"{self._address}/{path} cannot be written: {error or type(error).__name__}") from error

    def _put(self, place: str, content: bytes, tag: Any) -> bool:
        try:
            self._puts.put(place, content, tag)
        except OSError as error:
            if _lost(error):
                return False
            raise
        return True

    def _try_out(self, place: str) -> None:
        if self._tried:
            return
        self._put(place, b"", None)  # now there is one
        for tag in (None, self._puts.WRONG):
            if self._put(place, b"", tag):
                raise UsageError(
                    f"{self._address} does not keep to the conditions of puts (If-Match, If-None-Match): "
                    "releases cannot be changed safely there"
                )
        self._tried = True


def _lost(error: OSError) -> bool:
    """Whether the condition did not hold."""
    return isinstance(error, FileExistsError | FileNotFoundError) or error.errno in _LOST


class _S3:
    WRONG: Any = '"00000000000000000000000000000000"'

    def __init__(self, files: Any) -> None:
        self._files = files

    def tag(self, path: str) -> Any:
        return self._files.info(path, refresh=True)["ETag"]

    def put(self, path: str, content: bytes, tag: Any) -> None:
        if tag is None:
            self._files.pipe_file(path, content, mode="create")
        else:
            self._files.pipe_file(path, content, IfMatch=tag)


class _Gcs:
    WRONG: Any = "1"

    def __init__(self, files: Any) -> None:
        self._files = files

    def tag(self, path: str) -> Any:
        bucket, _, key = path.partition("/")
        url = f"{self._files.base}b/{quote(bucket)}/o/{quote(key, safe='')}"
        return self._files.call("GET", url, fields="generation", json_out=True)["generation"]

    def put(self, path: str, content: bytes, tag: Any) -> None:
        """fsspec's own way can only create: `pipe_file(…, mode="create")`."""
        bucket, _, key = path.partition("/")
        self._files.call(
            *("POST", f"{self._files.base.replace('/storage/', '/upload/storage/')}b/{quote(bucket)}/o"),
            uploadType="media",
            name=key,
            ifGenerationMatch="0" if tag is None else tag,
            headers={"Content-Type": "application/json"},
            data=content,
            json_out=True,
        )


_KINDS: dict[str, Callable[[Any], _Conditional]] = {"s3": _S3, "s3a": _S3, "gs": _Gcs, "gcs": _Gcs}
