"""The file of keys: a line a key, in JSON; lines that are empty or begin with `#` are people's own.

    {"name": "mobile", "id": "3f9c…", "salt": "…", "sha256": "…", "models": ["digits"], "requests_per_s": 50,
     "expires": "2027-01-31T00:00:00Z"}                                        (in one line)

    name            letters, digits, `.`, `_`, `-`: what logs and metrics call it; at most 64
    id              the part of the token that is no secret: 12 hexadecimal digits
    salt, sha256    16 bytes, and SHA-256 of those with the secret's 64 characters behind them; hexadecimal
    models          "*", or the names of those that it may ask
    requests_per_s  most requests a second; left out: as many as there are places for
    rows_per_s      most rows of its requests a second
    expires         when it ends: a date, or date and time in UTC
    admin           true: it may do also what is for those who run the service, such as read /metrics

Read as a whole or not at all. `signet keys` replaces it as a whole, under a lock, so that a server never sees a half of it.
"""

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet.serving.errors import UsageError
from signet.serving.gateway.access import tokens
from signet.serving.gateway.access.tokens import Created
from signet.serving.models import small_file
from signet.serving.process import durable
from signet.serving.unique_names import once

MOST_BYTES = 4 << 20
"""Largest file that is read: some ten thousand keys."""

NAME = re.compile(r"[a-zA-Z0-9._-]{1,64}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_FIELDS = {"name", "id", "salt", "sha256", "models", "requests_per_s", "rows_per_s", "expires", "admin"}
_NEEDED = ("name", "id", "salt", "sha256", "models")
_SALT_BYTES, _HASH_BYTES = 16, 32
_MODE = 0o600
_HEADER = (
    "# Keys of `signet serve --keys`, a line each; `signet keys` writes it. It holds no secret that could be shown.\n"
)


@dataclass(frozen=True)
class Key:
    """A line of the file."""

    name: str
    id: str
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    models: frozenset[str] | None = None
    """Those that it may ask; None: all."""
    requests_per_s: float | None = None
    rows_per_s: float | None = None
    expires: datetime | None = None
    """In UTC."""
    admin: bool = False


def read(path: Path) -> list[Key]:
    """The keys of a file. Raises `UsageError`, which names the line and what was expected there."""
    return parse(content(path), str(path))


def content(path: Path) -> bytes:
    """The bytes of a file of keys. Raises `UsageError`."""
    try:
        return small_file.read(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(f"the keys in {path} cannot be read: {error.strerror or error}") from error


def parse(text: bytes, place: str) -> list[Key]:
    """The keys that a file holds. place: what to call it. Raises `UsageError`, which names the line."""
    keys: dict[str, Key] = {}
    ids: dict[str, str] = {}
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            key = _key(line)
            if key.name in keys:
                raise ValueError(f"there is a key {key.name!r} already")
            if key.id in ids:
                raise ValueError(f"its id is that of the key {ids[key.id]!r}")
        except ValueError as error:
            raise UsageError(f"{place}, line {number}: {error}") from None
        keys[key.name], ids[key.id] = key, key.name
    return list(keys.values())


def others_may_read(path: Path) -> bool:
    """Whether everybody on this machine may read a file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def add(path: Path, created: Created, **said: Any) -> Key:
    """Add a key of a new token to a file, which is made if there is none. said: fields of its line, but what `created` has.

    Raises `UsageError` for a name that there is, and for what no key can have.
    """
    fields = {"name": said.pop("name"), "id": created.id, "salt": created.salt.hex(), "sha256": created.hash.hex()}
    line = json.dumps({**fields, **{name: value for name, value in said.items() if value is not None}})
    try:
        key = _key(line.encode())
    except ValueError as error:
        raise UsageError(str(error)) from None
    with _changing(path) as lines:
        if any(known.name == key.name for known in parse(b"".join(lines), str(path))):
            raise UsageError(f"{path} has a key {key.name!r} already: revoke it first, or choose another name")
        if lines and not lines[-1].endswith(b"\n"):
            lines[-1] += b"\n"
        if not lines:
            lines.append(_HEADER.encode())
        lines.append(line.encode() + b"\n")
    return key


def revoke(path: Path, name: str) -> None:
    """Take a key out of a file. Raises `UsageError` for one that is not there."""
    if not path.exists():
        raise UsageError(f"there is no file {path}; say which with --file")
    with _changing(path) as lines:
        keys = parse(b"".join(lines), str(path))
        if all(key.name != name for key in keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise UsageError(f"{path} has no key {name[:64]!r}; it has {known}")
        lines[:] = [line for line in lines if not _is_of(line, name)]


def _is_of(line: bytes, name: str) -> bool:
    """Of a line of a file that was parsed."""
    return bool(line.strip()) and not line.lstrip().startswith(b"#") and _key(line).name == name


@contextmanager
def _changing(path: Path) -> Iterator[list[bytes]]:
    """The lines of a file, to be changed: it is replaced by them, at once and as a whole. One after the other.

    A link stays one: what it leads to is replaced.
    """
    path = path.resolve()
    try:
        with _locked(path) as status:
            lines = content(path).splitlines(keepends=True)
            before = list(lines)
            yield lines
            if lines != before:
                _replace(path, b"".join(lines), status)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[os.stat_result]:
    """Nobody else changes the file meanwhile. It is made if there is none."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            status = os.fstat(descriptor)
            if path.exists() and os.path.samestat(status, path.stat()):
                yield status
                return
        finally:
            os.close(descriptor)
        # Who had the lock before has replaced the file: it is another one now.


def _replace(path: Path, text: bytes, before: os.stat_result) -> None:
    """Atomically, and for whom the file was before."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()
    durable.sync(path.parent)


# A line


def _key(line: bytes) -> Key:
    """Raises `ValueError`."""
    try:
        values = json.loads(line, object_pairs_hook=once)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'it is no JSON ({error}); expected {{"name": …}}, or # before a remark') from None
    if not isinstance(values, dict):
        raise ValueError('it is no object; expected {"name": …}')
    if unknown := values.keys() - _FIELDS:
        raise ValueError(f"there is no field {min(unknown)[:64]!r}; expected {', '.join(sorted(_FIELDS))}")
    for name in _NEEDED:
        if name not in values:
            raise ValueError(f"there is no {name!r}; expected {', '.join(_NEEDED)} at least")
    admin = values.get("admin", False)
    if type(admin) is not bool:
        raise ValueError(f"admin is {_shown(admin)}; expected true or false")
    return Key(
        _matching(values, "name", NAME, "1 to 64 letters, digits, '.', '_' or '-'"),
        _matching(values, "id", tokens.ID, "12 hexadecimal digits, in lower case"),
        _bytes(values, "salt", _SALT_BYTES),
        _bytes(values, "sha256", _HASH_BYTES),
        _models(values["models"]),
        _rate(values, "requests_per_s"),
        _rate(values, "rows_per_s"),
        None if values.get("expires") is None else moment(values["expires"]),
        admin,
    )


def _matching(values: Mapping[str, Any], name: str, pattern: re.Pattern[str], expected: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{name} is {_shown(value)}; expected {expected}")
    return value


def _bytes(values: Mapping[str, Any], name: str, count: int) -> bytes:
    value = values[name]
    if not isinstance(value, str) or len(value) != 2 * count or not _HEX.fullmatch(value):
        raise ValueError(f"{name} is not {2 * count} hexadecimal digits, in lower case")  # it is not for logs
    return bytes.fromhex(value)


def _models(value: Any) -> frozenset[str] | None:
    if value == "*":
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f'models is {_shown(value)}; expected "*", or a list of names')
    if "*" in value:
        raise ValueError('models has "*" among others; expected "*" by itself, or a list of names')
    return frozenset(value)


def _rate(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        raise ValueError(f"{name} is {_shown(value)}; expected a number above 0, or nothing for no limit")
    return float(value)


def moment(text: Any) -> datetime:
    """The time that a date, or a date and time in UTC, stands for. Raises `ValueError`."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(
            f"expires is {_shown(text)}; expected a date such as 2027-01-31, or 2027-01-31T12:00:00Z"
        ) from None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expires is {_shown(text)}, which no clock can show") from None


def written(time: datetime) -> str:
    """A moment as a line has it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(value: Any) -> str:
    return repr(value)[:80]
