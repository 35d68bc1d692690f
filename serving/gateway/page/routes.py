"""The page for people at `/`, and its files.

    GET /             Accept: text/html ──▶ index.html; programs get {"status": "alive"}
    GET /page/FILE    ES modules and styles, as they lie in static/: no build step, nothing from another host

The page holds nothing that a stranger may not see: what is served it asks by the routes that programs use, with their keys.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from signet.serving.errors import NotFound
from signet.serving.gateway.http.responses import gives
from signet.serving.gateway.openapi.document_cache import Document, of_bytes
from signet.serving.gateway.openapi.page import fresh, policy

_TYPES = {"css": "text/css", "html": "text/html; charset=utf-8", "js": "text/javascript"}

_INDEX = "index.html"

_HEADERS = {**policy("'self' data: blob:"), "Cache-Control": "no-cache"}
_CAMERA = {"Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()"}
"""Of the page itself: pictures may come from the camera of whoever looks at it."""

_ALIVE = gives("Alive", "Alive")
_ALIVE[200]["content"]["text/html"] = {"schema": {"type": "string"}}


class _File(NamedTuple):
    document: Document
    media_type: str


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
    return fresh(request, file.document, file.media_type, {**_HEADERS, **more})


@cache
def _files() -> Mapping[str, _File]:
    """All files of the page by their names: what is not among them is not served, whatever a path says."""
    return dict(_walk(files(__package__) / "static", ""))


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif media_type := _TYPES.get(entry.name.rpartition(".")[2]):
            yield prefix + entry.name, _File(of_bytes(entry.read_bytes()), media_type)
