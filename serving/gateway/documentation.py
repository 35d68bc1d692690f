"""What the gateway says of itself: its OpenAPI documents, and the page that shows them.

    /openapi.json, /v1/models/NAME/openapi.json      written anew for each request: they follow what is loaded
    /docs, /docs/FILE                                Swagger UI, from a package: nothing comes from another host

An example is tried on its model before it is shown, once for each version: it works, and its answer is shown too.
"""

import asyncio
import json
import logging
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, JSONResponse

from serving import json_codec
from serving.errors import NotFound, ServingError, Unavailable
from serving.gateway import examples, openapi, v1
from serving.gateway import openapi_tensors as tensors
from serving.gateway.backend import Backend, Lease
from serving.gateway.described_model import DescribedModel, Example
from serving.gateway.inference import Ask, Inference
from serving.gateway.record import Record
from serving.model_status import State
from serving.signature import DEFAULT, Signature

log = logging.getLogger(__name__)

_TRIAL_S = 5.0
"""Seconds that the trial of an example may take."""

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
# Its validator is a service elsewhere: null turns it off.
_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
});
"""
_STYLE = """body { margin: 0; background: #fafafa; }
.swagger-ui .info { margin: 24px 0; }
.swagger-ui .renderedMarkdown table { margin-bottom: 16px; }
.swagger-ui .renderedMarkdown table thead tr th,
.swagger-ui .renderedMarkdown table tbody tr td { min-width: 0; padding: 4px 16px 4px 0; }
.swagger-ui .renderedMarkdown table tbody tr td:nth-child(-n+4) { white-space: nowrap; }
"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_FRESH = {"Cache-Control": "no-cache"}
_KEPT = {"Cache-Control": "public, max-age=3600"}


class Trial(NamedTuple):
    """The same rows by each dialect, and what they were answered."""

    predict: Example
    infer: Example


class Documentation:
    """Describes the models of one gateway."""

    def __init__(self, backend: Backend, inference: Inference, release: str) -> None:
        self._backend, self._inference, self._release = backend, inference, release
        self._tried: dict[str, tuple[int, dict[str, Trial]]] = {}
        """Model -> the version whose examples have been tried, and those that work."""

    async def document(self) -> dict[str, Any]:
        """All models."""
        models: list[DescribedModel] = []
        missing: dict[str, str] = {}
        for name in self._backend.models:
            try:
                models.append(await self._described(name))
            except ServingError as error:
                missing[name] = str(error)
        return openapi.document(models, missing, self._release)

    async def model_document(self, name: str) -> dict[str, Any]:
        """One model. Raises `NotFound` for one that is not declared, `Unavailable` for one without a version."""
        return openapi.model_document(await self._described(name), self._release)

    async def _described(self, name: str) -> DescribedModel:
        lease = await self._inference.lease(Ask(name))
        try:
            statuses = await self._backend.statuses(name)
            model = DescribedModel(
                name,
                lease.version,
                lease.signatures,
                lease.signature_defs,
                self._inference.cards.card(name, lease.version),
                self._inference.labels.of(name),
                [status.version for status in statuses if status.state is State.AVAILABLE],
            )
            tried = await self._examples(model, lease)
            return replace(
                model,
                examples={name: trial.predict for name, trial in tried.items()},
                infer_examples={name: trial.infer for name, trial in tried.items()},
            )
        finally:
            lease.release()

    async def _examples(self, model: DescribedModel, lease: Lease) -> dict[str, Trial]:
        version, tried = self._tried.get(model.name, (None, {}))
        if version == model.version:
            return tried
        golden = await asyncio.to_thread(self._inference.cards.first_rows, model.name, model.version)
        found = {}
        for signature in filter(tensors.takes_json, model.callable_signatures):
            for body in examples.candidates(model, signature, golden):
                trial = await self._trial(body, model, lease, signature)
                if trial:
                    found[signature.name] = trial
                    break
        self._tried[model.name] = model.version, found
        return found

    async def _trial(
        self, body: dict[str, Any], model: DescribedModel, lease: Lease, signature: Signature
    ) -> Trial | None:
        """The body with its answer; None for one that does not work, or is too long to be shown."""
        try:
            text = json.dumps(body, allow_nan=False).encode()
            if len(text) > examples.LONGEST:
                return None
            asked = json_codec.parse(text)
            if (asked.signature_name or DEFAULT) != signature.name:
                return None
            inputs = json_codec.decode(asked, signature)
            ask = Ask(lease.name, lease.version, timeout_s=_TRIAL_S)
            wanted = asked.output_filter
            outputs = await self._inference.call(lease, signature, inputs, wanted, ask, Record(v1.PROTOCOL))
            answer = json_codec.encode(outputs, asked.layout, named=asked.named_outputs)
        except Unavailable:
            raise
        except (ServingError, ValueError) as error:
            log.info("model %s, signature %s: an example does not work: %s", lease.name, signature.name, error)
            return None
        try:
            predict = Example(body, orjson.loads(answer) if len(answer) <= examples.LONGEST else None)
        except orjson.JSONDecodeError:
            predict = Example(body)
        infer = examples.inference(model, signature, inputs, outputs, wanted)
        return Trial(predict, infer if len(json.dumps(infer.answer)) <= examples.LONGEST else Example(infer.body))


def create_router(documentation: Documentation) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter()

    @router.get("/openapi.json")
    async def document() -> Response:
        return JSONResponse(await documentation.document(), headers=_FRESH)

    @router.get("/v1/models/{model:name}/openapi.json")
    async def model_document(model: str) -> Response:
        return JSONResponse(await documentation.model_document(model), headers=_FRESH)

    @router.get("/docs")
    async def page() -> Response:
        return HTMLResponse(_PAGE, headers=_HEADERS | _FRESH)

    @router.get("/docs/{name:name}")
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise NotFound(f"there is no file {name[:100]!r} of the page; it has {', '.join(_FILES)}")
        media_type, text = _FILES[name]
        if text:
            return Response(text, media_type=media_type, headers=_HEADERS | _FRESH)
        return Response(_content(name), media_type=media_type, headers=_HEADERS | _KEPT)

    return router


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
