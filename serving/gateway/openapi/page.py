"""What the gateway says of itself: its OpenAPI documents, and the page that shows them.

/openapi.json, /v1/models/NAME/openapi.json      `document_cache.py`: they follow what is loaded
/docs, /docs/FILE                                Swagger UI, from a package: nothing comes from another host
"""

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
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Signet: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
# Its validator is a service elsewhere: null turns it off. It opens all tags or none, so those of the models are opened here.
_SCRIPT = """const page = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  docExpansion: "none",
  validatorUrl: null,
  onComplete() {
    for (const tag of page.specSelectors.specJson().toJS().tags)
      if (!tag["x-closed"]) page.layoutActions.show(["operations-tag", tag.name], true);
  },
});
"""
_STYLE = """body { margin: 0; background: #fafafa; }
.swagger-ui .info { margin: 24px 0; }
.swagger-ui .servers, .swagger-ui .servers-title,
.swagger-ui .opblock .authorization__btn, .swagger-ui .response-col_links { display: none; }
.swagger-ui .renderedMarkdown table { margin-bottom: 16px; }
.swagger-ui .renderedMarkdown table thead tr th,
.swagger-ui .renderedMarkdown table tbody tr td { min-width: 0; padding: 4px 16px 4px 0; }
.swagger-ui .renderedMarkdown table tbody tr td:nth-child(-n+4) { white-space: nowrap; }
"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY}
_FRESH = {"Cache-Control": "no-cache"}
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
        """This document as a page."""
        return HTMLResponse(_PAGE, headers=_HEADERS | _FRESH)

    @router.get("/docs/{name:name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise NotFound(f"there is no file {name[:100]!r} of the page; it has {', '.join(_FILES)}")
        media_type, text = _FILES[name]
        if text:
            return Response(text, media_type=media_type, headers=_HEADERS | _FRESH)
        return Response(_content(name), media_type=media_type, headers=_HEADERS | _KEPT)

    return router


def fresh(request: Request, document: Document, media_type: str = "application/json") -> Response:
    """The document, unless the caller has it: 304."""
    headers = {**_FRESH, "ETag": document.etag}
    if document.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(document.body, media_type=media_type, headers=headers)


@cache
def _content(name: str) -> bytes:
    """A file of the package: 1.5 megabytes in all, read when a page is first looked at."""
    return (files(_PACKAGE) / "static" / name).read_bytes()


_FILES = {
    "page.css": ("text/css", _STYLE),
    "page.js": ("text/javascript", _SCRIPT),
    "swagger-ui.css": ("text/css", ""),
    "swagger-ui-bundle.js": ("text/javascript", ""),
}
"""Name -> media type and content; without content it is the package's."""
