"""The page for people at `/`, and its files.

    GET /             Accept: text/html ──▶ index.html; programs get {"status": "alive"}
    GET /page/FILE    ES modules and styles, as they lie in static/: no build step, nothing from another host

The page holds nothing that a stranger may not see: what is served it asks by the routes that programs use, with their keys.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from signet.serving.errors import NotFound
from signet.serving.gateway.http.responses import gives

_TYPES = {"css": "text/css", "html": "text/html; charset=utf-8", "js": "text/javascript"}

_INDEX = "index.html"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
_CAMERA = {"Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()"}
"""Of the page itself: pictures may come from the camera of whoever looks at it."""

_ALIVE = gives("Alive", "Alive")
_ALIVE[200]["content"]["text/html"] = {"schema": {"type": "string"}}


class _File(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def create_router() -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(tags=["service"])
    pages = _files()  # now: the event loop reads no file

    @router.get("/", responses=_ALIVE)
    async def alive(request: Request) -> Response:
        """Whether the gateway is there; for browsers the page that shows what it serves.

        The page is for people whose `Accept` asks for one; JSON is what KServe's client looks for.
        """
        vary = {"Vary": "Accept"}
        if "text/html" in request.headers.get("accept", ""):
            return _sent(request, pages[_INDEX], vary | _CAMERA)
        return JSONResponse({"status": "alive"}, headers=vary)

    @router.get("/page/{name:path}", include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        found = pages.get(name)
        if found is None or name == _INDEX:
            raise NotFound(f"there is no file {name[:100]!r} of the page")
        return _sent(request, found, {})

    return router


def _sent(request: Request, file: _File, more: Mapping[str, str]) -> Response:
    headers = {**_HEADERS, **more, "ETag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


@cache
def _files() -> Mapping[str, _File]:
    """All files of the page by their names: what is not among them is not served, whatever a path says."""
    return dict(_walk(files(__package__) / "static", ""))


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif media_type := _TYPES.get(entry.name.rpartition(".")[2]):
            content = entry.read_bytes()
            yield prefix + entry.name, _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
