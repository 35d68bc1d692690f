"""What the page is told of a version, and rows to try it with.

GET /v1/models/NAME[/versions/N]/card                       its live signatures, and what its card says of them
GET /v1/models/NAME[/versions/N]/examples?signature=S       rows that it takes, with the answers where they are known
GET /v1/models/NAME[/versions/N]/pictures/FILE              of the network and of how it was learnt, from its folder
"""

import asyncio
from dataclasses import replace

from fastapi import APIRouter, Request, Response

from signet.serving.errors import NotFound, ServingError
from signet.serving.gateway.core.backend import Backend, releasing
from signet.serving.gateway.core.inference import Inference, InferenceRequest
from signet.serving.gateway.http.responses import fails, gives
from signet.serving.gateway.openapi.described_model import of_lease
from signet.serving.gateway.openapi.document_cache import of_bytes
from signet.serving.gateway.openapi.page import fresh
from signet.serving.gateway.page import card, pictures
from signet.serving.gateway.page.kept_rows import KeptRows
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.tensors.signature import nearest_hint, select

_ERRORS = fails(400, 404, 429, 500, 502, 503, 504)
_CARD = gives("Card", "What is known") | _ERRORS
_ROWS = gives("Rows", "The rows") | _ERRORS
_PNG = "image/png"
_PICTURE = {200: {"description": "The picture", "content": {_PNG: {"schema": {"type": "string"}}}}} | _ERRORS


def create_router(backend: Backend, inference: Inference) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(tags=["service"])
    kept = KeptRows(inference)

    @router.get("/v1/models/{model:name}/card", name="card", responses=_CARD)
    @router.get("/v1/models/{model:name}/versions/{version:name}/card", name="card", responses=_CARD)
    async def described(request: Request, model: str, version: int | None = None) -> Response:
        """What a version says of itself.

        Its purpose, scores and limits as its card has them, and of each signature what it takes and gives. Without an
        available version the signatures are missing, and `error` says why.
        """
        inference.check_declared(model)
        statuses = await _statuses(backend, model)
        labels = dict(await asyncio.to_thread(inference.labels.of, model))
        try:
            lease = await inference.lease(InferenceRequest(model, version))
        except ServingError as error:
            _check_known(model, version, statuses, error)
            why = _why(inference, InferenceRequest(model, version), error, statuses)
            return fresh(request, of_bytes(card.without_version(model, version, labels, statuses, why)))
        with releasing(lease):
            live = replace(of_lease(lease, labels, statuses), card=lease.card.content)
            made = await asyncio.to_thread(lambda: of_bytes(card.of_version(live, lease.card, statuses)))
        return fresh(request, made)

    @router.get("/v1/models/{model:name}/examples", name="examples", responses=_ROWS)
    @router.get("/v1/models/{model:name}/versions/{version:name}/examples", name="examples", responses=_ROWS)
    async def rows(request: Request, model: str, version: int | None = None, signature: str = "") -> Response:
        """Rows that a signature of a version takes, with what it answers.

        The golden examples of an export; else rows of its warm-up requests, or a row that the model has answered.
        """
        inference.check_declared(model)
        with releasing(await inference.lease(InferenceRequest(model, version))) as lease:
            return fresh(request, await kept.rows(lease, select(lease.signatures, signature, model)))

    @router.get("/v1/models/{model:name}/pictures/{file:name}", name="picture", responses=_PICTURE)
    @router.get(
        "/v1/models/{model:name}/versions/{version:name}/pictures/{file:name}", name="picture", responses=_PICTURE
    )
    async def picture(request: Request, model: str, file: str, version: int | None = None) -> Response:
        """A picture of a version's network, or of how it was learnt."""
        inference.check_declared(model)
        with releasing(await inference.lease(InferenceRequest(model, version))) as lease:
            made = await asyncio.to_thread(lambda: of_bytes(pictures.read(lease.card.folder, file)))
        return fresh(request, made, _PNG)

    return router


async def _statuses(backend: Backend, model: str) -> list[VersionStatus]:
    try:
        return await backend.statuses(model)
    except ServingError:
        return []


def _check_known(model: str, version: int | None, statuses: list[VersionStatus], error: ServingError) -> None:
    """Raise for a version that nobody has seen. error: why it is not leased."""
    known = [str(status.version) for status in statuses]
    if version is not None and str(version) not in known:
        if not isinstance(error, NotFound):
            raise error
        raise NotFound(f"Could not find version {version} of model {model}{nearest_hint(str(version), known)}")


def _why(inference: Inference, request: InferenceRequest, error: ServingError, statuses: list[VersionStatus]) -> str:
    """Why what was asked for is not available."""
    if request.version is not None:
        status = next(status for status in statuses if status.version == request.version)
        return status.error_message or f"version {request.version} of model {request.model!r} is {status.state.name}"
    if isinstance(error, NotFound) and all(status.state is not State.AVAILABLE for status in statuses):
        return str(inference.why_missing(request, error))
    return str(error)
