"""What a shell puts for a name that somebody has begun to type: `signet predict dig<TAB>`.

    --url ──GET /v1/models, 0.3 s at most──▶ names, or nothing      --models-dir ──▶ its folders      train ──▶ its own models

A shell waits for this after each TAB, so that nothing here imports more than it needs, and no error is told.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from signet.clients.client import connecting

_WAIT_S = 0.3
_MOST_BYTES = 1 << 22
_HTTP = {"http", "https"}


def served(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models that the server has which the command would ask; where none answers, those of the folder."""
    url = connecting.with_scheme(str(ctx.params.get("url") or connecting.usual_url()))
    try:
        names = _asked(url, ctx)
    except (OSError, ValueError, LookupError, TypeError):
        names = []
    return _matching(names or _folders(ctx), incomplete)


def here(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models of the folder that the command would look into."""
    return _matching(_folders(ctx), incomplete)


def trained(incomplete: str) -> list[str]:
    """The models of this project."""
    from signet.training.models.registry import NAMES

    return _matching([*NAMES, "all"], incomplete)


def formats(incomplete: str) -> list[str]:
    """Endings of files that `signet score` reads and writes."""
    from signet.clients.score.formats import COMPRESSIONS, ENDINGS, UNCOMPRESSED

    around = [f"{name}.{ending}" for name in ENDINGS if name not in UNCOMPRESSED for ending in COMPRESSIONS]
    return _matching([*ENDINGS, *around], incomplete)


def _asked(url: str, ctx: typer.Context) -> list[str]:
    """The names that a server tells."""
    import http.client
    import json
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in _HTTP or not parts.hostname:
        return []
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    access = connecting.of_options(list(ctx.params.get("header") or []), "", "", "", ctx.params.get("key_file") or "")
    connection = kind(parts.hostname, parts.port, timeout=_WAIT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/v1/models", headers=dict(access.headers))
        answer = json.loads(connection.getresponse().read(_MOST_BYTES))
    except http.client.HTTPException:
        return []
    finally:
        connection.close()
    return [str(name) for name in answer["models"]]


def _folders(ctx: typer.Context) -> list[str]:
    folder = Path(str(ctx.params.get("models_dir") or os.environ.get("SIGNET_MODELS_DIR") or "models"))
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []


def _matching(names: Sequence[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
