"""Releases over HTTP: what this process knows of one, and what an admin may do with it.

GET  /v1/models/MODEL/release                              {"replicas": [one], "verdict": …, "outputs": …, "copies": …}
POST /v1/models/MODEL/release/start|promote|rollback       the release as it is then; needs an admin's key
"""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from signet.serving.errors import Forbidden, InvalidInput, NotFound, UsageError
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.releases.releases import Releases
from signet.serving.releases import actions
from signet.serving.releases import release as files
from signet.serving.releases.store import Conflict
from signet.serving.releases.versions import versions

_CONFLICT = 409


def create_router(releases: Releases, inference: Inference) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(tags=["service"])

    @router.get("/v1/models/{model:name}/release", include_in_schema=False)
    async def status(model: str) -> Response:
        """What this process knows of the release of a model."""
        inference.check_declared(model)
        return JSONResponse(releases.told(model))

    @router.post("/v1/models/{model:name}/release/{action:name}", include_in_schema=False)
    async def act(model: str, action: str, request: Request) -> Response:
        """Begin, promote or roll back a release."""
        inference.check_declared(model)
        identity: Identity | None = request.state.key
        if identity is None:  # the door has asked for an admin's, where there are keys
            raise Forbidden("releases are changed by keys that were made with --admin, and this server has none")
        place = releases.place(model)
        if place is None:
            raise NotFound(f"nobody knows where the versions of {model!r} lie, beside which its release would be")
        body = _with_action(action, await request.body())
        try:
            made = await asyncio.to_thread(
                actions.perform,
                *(place.store, place.name, body),
                by=f"key {identity.name}",
                known=lambda: versions(place.store.place, place.name),
                replicas=lambda: [releases.replica(model)],
            )
        except Conflict as error:
            return JSONResponse({"error": str(error)}, _CONFLICT)
        except UsageError as error:
            raise InvalidInput(str(error)) from error
        releases.look()
        return JSONResponse(json.loads(files.dumps(made)))

    return router


def _with_action(action: str, body: bytes) -> bytes:
    """The body as `actions.perform` reads it. Raises `InvalidInput`."""
    if len(body) > actions.MOST_BYTES:
        raise InvalidInput(f"the body has more than {actions.MOST_BYTES} bytes, which is the most")
    try:
        values: Any = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is no JSON: {error}") from error
    if not isinstance(values, dict) or "action" in values:
        raise InvalidInput("the body is to be an object of what the action in the path takes")
    return json.dumps({**values, "action": action}).encode()
