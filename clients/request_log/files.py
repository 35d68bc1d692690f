"""Which files of a request log are of a model: those of several lie in one folder, and are never mixed.

requests/ ──found──▶ digits/3/serving_default-20261129T….parquet, …    ──of──▶ those of digits, serving_default
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signet.clients.score import formats, storage
from signet.serving.errors import UsageError
from signet.serving.models.request_columns import Logged, of_metadata
from signet.serving.tensors.signature import nearest_hint

_NAME = re.compile(r"-\d{8}T\d{6}-[0-9a-f]{8}-\d{6}\.parquet$")
"""How names of a request log's files end."""


@dataclass(frozen=True)
class LogFile:
    """One file, and of which calls its rows are."""

    path: str
    logged: Logged


def is_named(path: str) -> bool:
    """Whether a file is called as those of a request log are."""
    return _NAME.search(path) is not None


def logged_of(path: str) -> Logged | None:
    """Of which calls a Parquet file's rows are; None for one that no request log has written. Raises `UsageError`."""
    formats.pyarrow("Parquet")
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with storage.of(path).open(path) as file:
            return of_metadata(pq.read_schema(file).metadata)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{storage.shown(path)} cannot be read as Parquet: {error}") from error


def others(paths: Sequence[str], model: str, signature: str) -> set[str]:
    """Those of the paths that a request log has written for another model or signature. Raises `UsageError` if all are."""
    logs = {path: logged for path in paths if is_named(path) and (logged := logged_of(path))}
    left = {path for path, logged in logs.items() if (logged.model, logged.signature) != (model, signature)}
    if left and len(left) == len(paths):
        raise UsageError(_nothing(model, signature, logs.values()))
    return left


def found(place: str) -> list[LogFile]:
    """All files of request logs in a folder or bucket, by name; or the one file. Raises `UsageError`."""
    files = storage.of(place)
    info = files.info(place)
    if info is None:
        raise UsageError(f"{storage.shown(place)} does not exist")
    paths = [path for path in files.find(place) if is_named(path)] if info.is_folder else [place]
    logs = [LogFile(path, logged) for path in paths if (logged := logged_of(path))]
    if not logs:
        raise UsageError(f"{storage.shown(place)} holds no file of a request log (signet serve --request-log)")
    return logs


def of(logs: Sequence[LogFile], model: str, signature: str) -> list[LogFile]:
    """Those of a model's signature. Raises `UsageError` when there is none."""
    chosen = [log for log in logs if (log.logged.model, log.logged.signature) == (model, signature)]
    if not chosen:
        raise UsageError(_nothing(model, signature, [log.logged for log in logs]))
    return chosen


def _nothing(model: str, signature: str, known: Iterable[Logged]) -> str:
    pairs = sorted({(logged.model, logged.signature) for logged in known})
    hint = nearest_hint(model, {name for name, _ in pairs} - {model})
    listed = ", ".join(f"{name} ({kind})" for name, kind in pairs)
    return f"the request log has nothing of {model!r}, signature {signature!r}{hint}; it has {listed}"
