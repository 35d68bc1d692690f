"""What the gateway says of itself: its OpenAPI documents, and the page that shows them.

/openapi.json, /v1/models/NAME/openapi.json      `document_cache.py`: they follow what is loaded
/docs[?model=NAME], /docs/FILE                   Swagger UI, from a package: nothing comes from another host
"""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from signet.serving.errors import NotFound
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.openapi.document_cache import Document, DocumentCache

_PACKAGE = "fastapi_offline"
"""Carries Swagger UI's files."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Signet: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="page/api/docs.css">
<script defer src="docs/swagger-ui-bundle.js"></script>
<script type="module" src="page/api/docs.js"></script>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header>
<a class="brand" href="./#/">Signet</a>
<nav aria-label="Pages">
<a href="./#/">Models</a>
<a href="./#/live">Live</a>
<a href="docs" aria-current="page">API</a>
</nav>
</header>
<main id="main" tabindex="-1"><p>Asking for the document …</p>\
<noscript>This page asks the server by JavaScript, which is off. The document is at openapi.json.</noscript></main>
</body>
</html>
"""
"""The frame, as that of the page at `/`; its scripts and styles lie with the others, in `page/static/api/`."""


def policy(images: str) -> dict[str, str]:
    """The header by which a page may use its own files alone, and nothing inline. images: where those may come from."""
    rules = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": rules}


_HEADERS = policy("'self' data:")
_FRESH = {"Cache-Control": "no-cache"}
_OWN = {"Cache-Control": "private, no-cache"}
"""Of what a key shows: a cache that others share keeps none of it, whichever header the key came in."""
_KEPT = {"Cache-Control": "public, max-age=3600"}

_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "An OpenAPI 3.1 document", "content": {"application/json": {"schema": {"type": "object"}}}}
}
_ERRORS: dict[int | str, dict[str, Any]] = {status: {} for status in (400, 404, 429, 500, 502, 503, 504)}


def create_router(documents: DocumentCache) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(tags=["service"])

    @router.get("/openapi.json", name="openapi", responses=_DOCUMENT)
    async def document(request: Request) -> Response:
        """This document: every model as it is served now."""
        identity: Identity | None = request.state.key
        return fresh(request, await documents.document(identity.models if identity else None))

    @router.get("/v1/models/{model:name}/openapi.json", name="model_openapi", responses=_DOCUMENT | _ERRORS)
    async def model_document(request: Request, model: str) -> Response:
        """The part of this document that is about one model."""
        return fresh(request, await documents.model_document(model))

    @router.get("/docs", name="docs", response_class=HTMLResponse, response_description="A page")
    async def page() -> Response:
        """This document as a page; with `model`, the part of it that is about one."""
        return HTMLResponse(_PAGE, headers=_HEADERS | _FRESH)

    @router.get("/docs/{name:name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise NotFound(f"there is no file {name[:100]!r} of the page; it has {', '.join(_FILES)}")
        return Response(_content(name), media_type=_FILES[name], headers=_HEADERS | _KEPT)

    return router


def fresh(
    request: Request, document: Document, media_type: str = "application/json", headers: Mapping[str, str] = _OWN
) -> Response:
    """The document, unless the caller has it: 304."""
    headers = {**headers, "ETag": document.etag}
    if document.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(document.body, media_type=media_type, headers=headers)


@cache
def _content(name: str) -> bytes:
    """A file of the package: 1.5 megabytes in all, read when a page is first looked at."""
    return (files(_PACKAGE) / "static" / name).read_bytes()


_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
"""Those of the package that the page needs, with their media types."""
