"""The gateway over HTTP: named arrays or lists in, named arrays out.

    with Client("http://localhost:8080") as client:
        client.predict("digits", {"pixels": images})            # {"digit": float32 (n, 10)}

    inputs ──to_arrays──▶ arrays that fit the signature ──build_…──▶ request
                                               outputs ◀──parse_…── response

`Client` and `AsyncClient` only send; what a call does is written once (`calls.py`, `server_calls.py`, `caller.py`). Small
requests are JSON; large ones, and dtypes that JSON has not, go as raw bytes by the Open Inference Protocol. Errors are the
classes of `serving/errors.py`, with the server's own words; `Unavailable` when nobody answers at the URL.
"""

import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from signet.clients.client import calls, connecting, http_messages, infer_messages
from signet.clients.client.answer import Answer
from signet.clients.client.caller import DEFAULT_TIMEOUT_S, AsyncCaller, BlockingCaller, Caller
from signet.clients.client.calls import CallSteps, VersionSelector
from signet.clients.client.connecting import Access, Certificate, FilePath
from signet.clients.client.http_connections import FOREIGN, Connections
from signet.clients.client.http_messages import Model, Request, Response
from signet.clients.client.retries import Retry
from signet.clients.client.server_calls import ServerCalls
from signet.clients.client.throttling import Throttle
from signet.serving import request_id
from signet.serving.errors import NotFound
from signet.serving.open_inference.binary import HEADER
from signet.serving.tensors.signature import select


class _Gateway(ServerCalls):
    """A gateway's calls over HTTP."""

    _build_metadata = staticmethod(http_messages.build_metadata)
    _parse_metadata = staticmethod(http_messages.parse_metadata)
    _failure = staticmethod(http_messages.failure)

    def _predict(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        inputs: Mapping[str, Any],
        outputs: Collection[str],
        deadline: float,
    ) -> CallSteps[Answer]:
        steps = self._fitted(model, selector, signature, inputs, outputs, deadline)
        expected, chosen, arrays = yield from steps
        binary = infer_messages.wanted(arrays, chosen)
        build = infer_messages.build_infer if binary else http_messages.build_predict
        parse = infer_messages.parse_infer if binary else http_messages.parse_predict
        response = yield from self._send(
            lambda left_s: build(
                model, arrays, selector=selector, signature=chosen.name, outputs=outputs, timeout_s=left_s
            ),
            deadline,
            predicting=model,
        )
        if response.version not in (None, expected.number):
            self._cache.pop((model, selector), None)  # another version answered
            if response.status == HTTPStatus.OK:
                answered = yield from self._described(model, response.version, deadline)
                self._cache[model, selector] = answered
                chosen = select(answered.signatures, signature, model)
        answered_outputs = calls.parsed(lambda: parse(response, chosen, outputs))
        calls.check_answered(arrays, answered_outputs, chosen)
        return Answer(answered_outputs, model, response.version)

    def models(self, deadline: float) -> CallSteps[list[Model]]:
        response = yield from self._send(http_messages.build_models, deadline)
        return calls.parsed(lambda: http_messages.parse_models(response))

    def ready(self, model: str | None, timeout_s: float) -> CallSteps[str]:
        if model is None:
            return http_messages.parse_ready((yield http_messages.build_ready(timeout_s)))
        try:
            http_messages.parse_metadata((yield http_messages.build_metadata(model, None, timeout_s)))
        except NotFound as error:
            return str(error)
        return ""


class _HttpCaller(Caller):
    """How both clients connect."""

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        key: str | None = None,
        ca_file: FilePath | None = None,
        client_certificate: Certificate | None = None,
        retry: Retry = Retry(),  # noqa: B008  # it is frozen
        throttle: bool = True,
    ) -> None:
        """url: None for that of $SIGNET_URL, else http://localhost:8080. timeout_s: for calls that do not say their own.

        headers: sent with every request. token: sent as `Authorization: Bearer`; default $SIGNET_TOKEN, if there is one.
        key: of a gateway that asks for one, as `signet keys add` prints it; default $SIGNET_KEY, if there is one.
        ca_file: PEM of who may sign the server's certificate, besides the usual ones. client_certificate: PEM file, or the
        files of certificate and key. retry: `NEVER` for none. throttle: raise `Throttled` rather than send, for a part of
        the calls of a model, while the server refuses most of them as it is overloaded.
        """
        place = connecting.usual_url() if url is None else url
        access = connecting.access(headers, token, ca_file, client_certificate, key)
        self._begin(place, access, timeout_s, retry, throttle)

    def _connect(self, place: str, access: Access) -> str:
        self._connections = Connections(place, access)
        self.url = self._connections.shown
        """Without a password."""
        return self.url

    def _calls(self, retry: Retry, throttle: Throttle | None) -> ServerCalls:
        return _Gateway(retry, throttle)

    @property
    def _shown(self) -> str:
        return self.url


class Client(BlockingCaller, _HttpCaller):
    """Calls a gateway. Connections are kept open; several threads may share one client."""

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _send(self, request: Request) -> Response:
        try:
            return _received(self._connections.send(request))
        except FOREIGN as error:
            raise self._connections.translated(error, request.timeout_s) from error


class AsyncClient(AsyncCaller, _HttpCaller):
    """Calls a gateway from asyncio. Connections are kept open; calls may run side by side."""

    async def close(self) -> None:
        """Close the connections of the running event loop; those of others end with their loops."""
        await self._connections.close_async()

    async def _send(self, request: Request) -> Response:
        try:
            return _received(await self._connections.send_async(request))
        except FOREIGN as error:
            raise self._connections.translated(error, request.timeout_s) from error


def _received(answer: httpx.Response) -> Response:
    def number(header: str) -> int | None:
        value = answer.headers.get(header, "")
        return int(value) if value.isdecimal() else None

    retry_after = answer.headers.get("retry-after", "")

    return Response(
        answer.status_code,
        answer.content,
        version=number("x-signet-model-version"),
        retry_after_s=http_messages.retry_after_s(retry_after, time.time()) if retry_after else None,
        json_bytes=number(HEADER),
        request_id=request_id.accepted(answer.headers.get(request_id.KEY)),
    )
