"""Releases over HTTP: what this service knows of one, and what an admin may do with it.

GET  /v1/models/MODEL/release                              {"replicas": […], "verdict": …, "outputs": …, "copies": …}
POST /v1/models/MODEL/release/start|promote|rollback       the release as it is then; needs an admin's key
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from signet.serving.errors import Forbidden, InvalidInput, NotFound, UsageError
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.http.responses import fails, gives, takes
from signet.serving.gateway.releases import known
from signet.serving.gateway.releases.releases import Releases
from signet.serving.releases import actions
from signet.serving.releases import release as files
from signet.serving.releases.store import Conflict
from signet.serving.releases.versions import versions

_CONFLICT = 409

_STATUS = gives("ReleaseStatus", "What its processes know") | fails(400, 404, 429, 500, 503)
_MADE = gives("Release", "The release as it is now") | fails(400, 403, 404, 409, 413, 429, 500, 503)

_ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "start": (
        """Begin the release of a version.

        Without a version the one that answers now is kept, and none that appears takes its place. The candidate gets no
        traffic before it is promoted.""",
        {"a version": {"version": 2, "reason": "trained on March"}},
    ),
    "promote": (
        """Let a candidate go a step further.

        Refused with the reason while what the processes of this service have seen does not show that it is good.""",
        {
            "copies of requests": {"to": "shadow"},
            "a tenth": {"to": "canary", "share": 0.1, "force": True, "reason": "it was checked elsewhere"},
        },
    ),
    "rollback": (
        """Go back to the stable version.

        From a release that is done, to the version that was stable before.""",
        {"at once": {"reason": "callers complain"}},
    ),
}
"""Action -> what it does, and bodies to show."""


def create_router(releases: Releases, inference: Inference) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(tags=["service"])

    @router.get("/v1/models/{model:name}/release", name="release", responses=_STATUS)
    async def status(model: str) -> Response:
        """What is known of the release of a model, and of its candidate.

        Each process of the service tells what it has seen itself; the verdict is what all of them have seen. Where the
        service asks for keys, it needs an admin's.
        """
        inference.check_declared(model)
        return JSONResponse(known.told(await releases.known_by_all(model)))

    def acting(action: str) -> Callable[[str, Request], Awaitable[Response]]:
        async def act(model: str, request: Request) -> Response:
            return await _act(releases, inference, model, action, request)

        return act

    for action, (text, examples) in _ACTIONS.items():
        first, _, more = text.partition("\n\n")
        words = " ".join(more.split())
        router.add_api_route(
            f"/v1/models/{{model:name}}/release/{action}",
            acting(action),
            methods=["POST"],
            name=f"release_{action}",
            description=f"{first}\n\n{words} Needs an admin's key.",
            responses=_MADE,
            openapi_extra=takes(f"Release{action.capitalize()}", examples),
        )

    @router.post("/v1/models/{model:name}/release/{action:name}", include_in_schema=False)
    async def other(model: str, action: str, request: Request) -> Response:
        """What is no action, and is told so."""
        return await _act(releases, inference, model, action, request)

    return router


async def _act(releases: Releases, inference: Inference, model: str, action: str, request: Request) -> Response:
    inference.check_declared(model)
    identity: Identity | None = request.state.key
    if identity is None:  # the door has asked for an admin's, where there are keys
        raise Forbidden("releases are changed by keys that were made with --admin, and this server has none")
    place = releases.place(model)
    if place is None:
        raise NotFound(f"nobody knows where the versions of {model!r} lie, beside which its release would be")
    body = _with_action(action, await request.body())
    # A rollback asks nobody: it waits for no process that stands still.
    replicas = [] if action == "rollback" else known.replicas(await releases.known_by_all(model))
    try:
        made = await asyncio.to_thread(
            actions.perform,
            *(place.store, place.name, body),
            by=f"key {identity.name}",
            known=lambda: versions(place.store.place, place.name),
            replicas=lambda: replicas,
        )
    except Conflict as error:
        return JSONResponse({"error": str(error)}, _CONFLICT)
    except UsageError as error:
        raise InvalidInput(str(error)) from error
    releases.changed()
    return JSONResponse(json.loads(files.dumps(made)))


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
