"""The gateway over HTTP: named arrays or lists in, named arrays out.

    with Client("http://localhost:8080") as client:
        client.predict("digits", {"pixels": images})            # {"digit": float32 (n, 10)}

    inputs ──to_arrays──▶ arrays that fit the signature ──build_…──▶ request
                                               outputs ◀──parse_…── response

`Client` and `AsyncClient` only send; what a call does is written once (`calls.py`). Signatures are asked for once, and
again when another version answers. Small requests are JSON; large ones, and dtypes that JSON has not, go as raw bytes
by the Open Inference Protocol. Errors are the classes of `serving/errors.py`, with the server's own words;
`Unavailable` when nobody answers at the URL.
"""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, TypeVar, cast

import httpx

from signet.clients.client import calls, connecting, dataframes, http_messages, infer_messages, values
from signet.clients.client.calls import (
    CallSteps,
    Describe,
    SignatureCache,
    Version,
    VersionSelector,
    drive,
    drive_async,
    selector_of,
)
from signet.clients.client.connecting import Access, Certificate, FilePath
from signet.clients.client.dataframes import Frame
from signet.clients.client.http_connections import FOREIGN, Connections
from signet.clients.client.http_messages import Model, Request, Response
from signet.clients.client.retries import Budget, Retry
from signet.serving.errors import NotFound, UsageError
from signet.serving.open_inference.binary import HEADER
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import DEFAULT, Signature, select

DEFAULT_TIMEOUT_S = 30.0


# What a call does, whoever sends


class _Server:
    """A gateway as a client knows it: the signatures it told, and what may be spent on retries."""

    def __init__(self, retry: Retry) -> None:
        self._cache: SignatureCache = {}
        self._budget = Budget(retry)

    def predict(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        inputs: Mapping[str, Any],
        outputs: Collection[str],
        deadline: float,
    ) -> CallSteps[Arrays]:
        describe = self._describe(deadline)
        expected, chosen, arrays = yield from calls.fitting(self._cache, describe, model, selector, signature, inputs)
        calls.check_outputs(outputs, chosen)
        binary = infer_messages.wanted(arrays, chosen)
        build = infer_messages.build_infer if binary else http_messages.build_predict
        parse = infer_messages.parse_infer if binary else http_messages.parse_predict
        response = yield from self._send(
            lambda left_s: build(
                model, arrays, selector=selector, signature=chosen.name, outputs=outputs, timeout_s=left_s
            ),
            deadline,
        )
        if response.version not in (None, expected.number):
            self._cache.pop((model, selector), None)  # another version answered
            if response.status == HTTPStatus.OK:
                answered = self._cache[model, selector] = yield from describe(model, response.version)
                chosen = select(answered.signatures, signature, model)
        answered_outputs = calls.parsed(lambda: parse(response, chosen, outputs))
        calls.check_answered(arrays, answered_outputs, chosen)
        return answered_outputs

    def predict_frame(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        frame: Any,
        outputs: Collection[str],
        rows: int,
        deadline: float,
    ) -> CallSteps[Any]:
        dataframes.check(frame, rows)
        described = yield from self.describe(model, selector, deadline)
        chosen = select(described.signatures, signature, model)
        pinned = selector if dataframes.fits(frame, rows) else described.number  # all parts by one version
        return (
            yield from dataframes.predicting(
                frame,
                chosen,
                rows,
                lambda inputs: self.predict(model, pinned, signature, inputs, outputs, deadline),
            )
        )

    def describe(self, model: str, selector: VersionSelector, deadline: float) -> CallSteps[Version]:
        described = self._cache[model, selector] = yield from self._describe(deadline)(model, selector)
        return described

    def models(self, deadline: float) -> CallSteps[list[Model]]:
        response = yield from self._send(http_messages.build_models, deadline)
        return calls.parsed(lambda: http_messages.parse_models(response))

    def ready(self, model: str | None, timeout_s: float) -> CallSteps[str]:
        """What keeps the server, or one model, from answering; empty when nothing does. Asks once."""
        if model is None:
            return http_messages.parse_ready((yield http_messages.build_ready(timeout_s)))
        try:
            http_messages.parse_metadata((yield http_messages.build_metadata(model, None, timeout_s)))
        except NotFound as error:
            return str(error)
        return ""

    def _describe(self, deadline: float) -> Describe:
        def describe(model: str, selector: VersionSelector) -> CallSteps[Version]:
            build = partial(http_messages.build_metadata, model, selector)
            response = yield from self._send(build, deadline)
            return calls.parsed(lambda: http_messages.parse_metadata(response))

        return describe

    def _send(self, build: Callable[[float], Request], deadline: float) -> CallSteps[Response]:
        return calls.sending(self._budget, build, http_messages.failure, deadline)


# Sending


C = TypeVar("C", bound="_Client")


class _Client:
    """What both clients are. They can be pickled: a copy has its own connections."""

    _connections: Connections

    @classmethod
    def of(
        cls: type[C],
        url: str,
        access: Access,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry = Retry(),  # noqa: B008  # it is frozen
    ) -> C:
        """A client by what commands were told."""
        made = cls.__new__(cls)
        made._begin(url, access, timeout_s, retry)
        return made

    def _begin(self, url: str | None, access: Access, timeout_s: float, retry: Retry) -> None:
        if not isinstance(retry, Retry):
            raise UsageError(f"retry is {retry!r}; expected a Retry, or NEVER")
        self._begun = (connecting.usual_url() if url is None else url, access, timeout_s, retry)
        url, access, timeout_s, retry = self._begun
        self._connections = Connections(url, access)
        self.url = self._connections.shown
        """Without a password."""
        self._timeout_s = calls.seconds_of(timeout_s, DEFAULT_TIMEOUT_S)
        self._server = _Server(retry)

    def _deadline(self, timeout_s: float | None = None) -> float:
        return time.monotonic() + calls.seconds_of(timeout_s, self._timeout_s)

    def __getstate__(self) -> tuple[str, Access, float, Retry]:
        return self._begun

    def __setstate__(self, begun: tuple[str, Access, float, Retry]) -> None:
        self._begin(*begun)


class Client(_Client):
    """Calls a gateway. Connections are kept open; several threads may share one client."""

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        ca_file: FilePath | None = None,
        client_certificate: Certificate | None = None,
        retry: Retry = Retry(),  # noqa: B008  # it is frozen
    ) -> None:
        """url: None for that of $SIGNET_URL, else http://localhost:8080. timeout_s: for calls that do not say their own.

        headers: sent with every request. token: sent as `Authorization: Bearer`; default $SIGNET_TOKEN, if there is one.
        ca_file: PEM of who may sign the server's certificate, besides the usual ones. client_certificate: PEM file, or the
        files of certificate and key. retry: `NEVER` for none.
        """
        self._begin(url, connecting.access(headers, token, ca_file, client_certificate), timeout_s, retry)

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
    ) -> Arrays:
        """The outputs by name, in the signature's dtypes; text as an array of dtype object that holds str.

        Outputs called `…_bytes`, and strings that are no UTF-8, are bytes.

        inputs: arrays or nested lists by name, with one row a first-axis element; strings may be str, bytes or the path
        of a file that holds them. version or label: default the highest version. signature: default `serving_default`.
        outputs: those wanted; default all. timeout_s: to wait for an answer, retries included.
        """
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict(model, selector, signature or DEFAULT, inputs, outputs, deadline)
        return values.with_texts(drive(steps, self._send))

    def predict_frame(
        self,
        model: str,
        frame: Frame,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
        rows: int = dataframes.ROWS,
    ) -> Frame:
        """The outputs as columns of a frame of the same kind: pandas, polars or pyarrow, with the rows in their order.

        frame: its columns of the inputs' names are sent, others are not. An output of several numbers a row becomes a
        column of lists. rows: in a request; a frame of more is sent in parts, all to one version.
        """
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict_frame(model, selector, signature or DEFAULT, frame, outputs, rows, deadline)
        return cast(Frame, drive(steps, self._send))

    def describe(self, model: str, *, version: int | None = None, label: str | None = None) -> Version:
        """The version that answers now, with all its signatures."""
        return drive(self._server.describe(model, selector_of(version, label), self._deadline()), self._send)

    def signature(
        self, model: str, signature: str = DEFAULT, *, version: int | None = None, label: str | None = None
    ) -> Signature:
        """Names, dtypes and shapes that the model takes and gives now."""
        described = self.describe(model, version=version, label=label)
        return select(described.signatures, signature, model)

    def models(self) -> list[Model]:
        """What is served: names, versions, signatures."""
        return drive(self._server.models(self._deadline()), self._send)

    def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S, *, model: str | None = None) -> None:
        """Return when every model answers, or the one that is named; raises `Unavailable` when that takes too long."""
        drive(calls.waiting(partial(self._server.ready, model), self.url, calls.seconds_of(timeout_s, 0)), self._send)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _send(self, request: Request) -> Response:
        try:
            return _received(self._connections.send(request))
        except FOREIGN as error:
            raise self._connections.translated(error, request.timeout_s) from error


class AsyncClient(_Client):
    """Calls a gateway from asyncio. Connections are kept open; calls may run side by side."""

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        ca_file: FilePath | None = None,
        client_certificate: Certificate | None = None,
        retry: Retry = Retry(),  # noqa: B008  # it is frozen
    ) -> None:
        """url: None for that of $SIGNET_URL, else http://localhost:8080. timeout_s: for calls that do not say their own.

        headers: sent with every request. token: sent as `Authorization: Bearer`; default $SIGNET_TOKEN, if there is one.
        ca_file: PEM of who may sign the server's certificate, besides the usual ones. client_certificate: PEM file, or the
        files of certificate and key. retry: `NEVER` for none.
        """
        self._begin(url, connecting.access(headers, token, ca_file, client_certificate), timeout_s, retry)

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
    ) -> Arrays:
        """As `Client.predict`."""
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict(model, selector, signature or DEFAULT, inputs, outputs, deadline)
        return values.with_texts(await drive_async(steps, self._send))

    async def predict_frame(
        self,
        model: str,
        frame: Frame,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
        rows: int = dataframes.ROWS,
    ) -> Frame:
        """As `Client.predict_frame`."""
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict_frame(model, selector, signature or DEFAULT, frame, outputs, rows, deadline)
        return cast(Frame, await drive_async(steps, self._send))

    async def describe(self, model: str, *, version: int | None = None, label: str | None = None) -> Version:
        """As `Client.describe`."""
        return await drive_async(
            self._server.describe(model, selector_of(version, label), self._deadline()), self._send
        )

    async def signature(
        self, model: str, signature: str = DEFAULT, *, version: int | None = None, label: str | None = None
    ) -> Signature:
        """As `Client.signature`."""
        described = await self.describe(model, version=version, label=label)
        return select(described.signatures, signature, model)

    async def models(self) -> list[Model]:
        """As `Client.models`."""
        return await drive_async(self._server.models(self._deadline()), self._send)

    async def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S, *, model: str | None = None) -> None:
        """As `Client.wait_ready`."""
        await drive_async(
            calls.waiting(partial(self._server.ready, model), self.url, calls.seconds_of(timeout_s, 0)), self._send
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close_async()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, request: Request) -> Response:
        try:
            return _received(await self._connections.send_async(request))
        except FOREIGN as error:
            raise self._connections.translated(error, request.timeout_s) from error


def _received(answer: httpx.Response) -> Response:
    def number(header: str) -> int | None:
        value = answer.headers.get(header, "")
        return int(value) if value.isdecimal() else None

    return Response(
        answer.status_code,
        answer.content,
        version=number("x-signet-model-version"),
        retry_after_s=number("retry-after"),
        json_bytes=number(HEADER),
    )
