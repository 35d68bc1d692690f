"""The gateway over HTTP: named arrays or lists in, named arrays out.

    with Client("http://localhost:8080") as client:
        client.predict("digits", {"pixels": images})            # {"digit": float32 (n, 10)}

    inputs ──to_arrays──▶ arrays that fit the signature ──build_predict──▶ request
                                                outputs ◀──parse_predict── response

`Client` and `AsyncClient` only send; what a call does is written once (`calls.py`). Signatures are asked for once, and
again when another version answers. Errors are the classes of `serving/errors.py`, with the server's own words;
`Unavailable` when nobody answers at the URL.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
from google.protobuf import json_format

from clients import calls, open_inference, values
from clients.calls import Known, Steps, Version, drive, drive_async
from serving import dtypes
from serving.errors import (
    DeadlineExceeded,
    Internal,
    InvalidInput,
    Overloaded,
    ServingError,
    TooLarge,
    Unavailable,
    UsageError,
    from_code,
)
from serving.open_inference_body import HEADER
from serving.protos import get_model_metadata_pb2
from serving.signature import DEFAULT, INIT_OP, Signature, TensorSpec, from_proto, select
from serving.tensors import Arrays

DEFAULT_URL = "http://localhost:8080"
DEFAULT_TIMEOUT_S = 30.0

_CONNECT_S = 5.0
_KEEP_ALIVE_S = 4.0
"""Idle connections are given up before the gateway, which waits 5 s, closes them under a request."""
_QUOTED_CHARACTERS = 200
_DTYPES = {dtype.name: dtype for dtype in dtypes.ROWS}
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Request:
    """What is to be sent."""

    method: str
    path: str
    timeout_s: float
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    body: bytes
    version: int | None = None
    """The version of the model that answered, where the server says so."""
    retry_after_s: float | None = None
    """When to come back, where a busy server says so."""
    json_bytes: int | None = None
    """How many bytes of the body are JSON, where tensors follow as bytes; None: all."""


@dataclass(frozen=True)
class Model:
    """One of the models that are served."""

    name: str
    versions: tuple[int, ...]
    """Those that answer, the highest first; it is the one that calls without a version get."""
    signatures: Mapping[str, Signature]
    """By name; of the highest version."""
    problem: str = ""
    """Why there is no version."""


# Pure: requests and what their responses say


def build_predict(
    model: str, arrays: Arrays, *, version: int | None = None, signature: str = DEFAULT, timeout_s: float
) -> Request:
    """A predict request in columns, of arrays that were held against the signature."""
    inputs = {name: values.to_json(name, array) for name, array in arrays.items()}
    body = values.dumps({"signature_name": signature, "inputs": inputs})
    return Request("POST", f"{_path(model, version)}:predict", timeout_s, body)


def parse_predict(response: Response, signature: Signature) -> Arrays:
    """The outputs by name, in the signature's dtypes. A single output comes without its name, which is known here."""
    outputs = _document(response).get("outputs")
    if len(signature.outputs) == 1:
        outputs = {next(iter(signature.outputs)): outputs}
    if not isinstance(outputs, dict) or outputs.keys() != signature.outputs.keys():
        raise Internal(f"the answer does not have the outputs of signature {signature.name!r}: {_quoted(response)}")
    has_booleans = b"true" in response.body or b"false" in response.body
    try:
        return {
            name: values.from_json(spec, outputs[name], has_booleans=has_booleans)
            for name, spec in signature.outputs.items()
        }
    except InvalidInput as error:
        raise Internal(f"the answer does not fit signature {signature.name!r}: {error}") from error


def build_infer(
    model: str, arrays: Arrays, signature: Signature, *, version: int | None = None, timeout_s: float
) -> Request:
    """The same by the Open Inference Protocol, with the tensors as bytes: for many numbers."""
    body, headers = open_inference.build(arrays, signature)
    return Request("POST", f"{_path(model, version, 'v2')}/infer", timeout_s, body, headers)


def parse_infer(response: Response, signature: Signature) -> Arrays:
    """The outputs by name, in the signature's dtypes."""
    if response.status != HTTPStatus.OK:
        raise error_of(response)
    try:
        return open_inference.parse(response.body, response.json_bytes, signature)
    except (KeyError, TypeError, ValueError) as error:
        raise Internal(f"the answer does not fit signature {signature.name!r}: {error}") from error


def build_extensions(timeout_s: float) -> Request:
    """The question what the server can do beside the protocol."""
    return Request("GET", "/v2", timeout_s)


def parse_extensions(response: Response) -> frozenset[str]:
    """The extensions of the Open Inference Protocol; none of a server that does not speak it."""
    if response.status != HTTPStatus.OK:
        return frozenset()
    try:
        return frozenset(_document(response)["extensions"])
    except (KeyError, TypeError) as error:
        raise Internal(f"the answer does not describe a server: {_quoted(response)}") from error


def build_metadata(model: str, version: int | None, timeout_s: float) -> Request:
    """The question for the signatures of a version; None: the one that calls without a version get."""
    return Request("GET", f"{_path(model, version)}/metadata", timeout_s)


def parse_metadata(response: Response) -> Version:
    """The signatures, those that can be called."""
    document = _document(response)
    try:
        packed = json_format.ParseDict(
            document["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap(), ignore_unknown_fields=True
        )
        signatures = {name: from_proto(name, proto) for name, proto in packed.signature_def.items() if name != INIT_OP}
        return Version(document["model_spec"]["name"], int(document["model_spec"]["version"]), signatures)
    except (KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise Internal(f"the answer does not describe a model: {_quoted(response)}") from error


def build_models(timeout_s: float) -> Request:
    """The question for all that is served."""
    return Request("GET", "/v1/models", timeout_s)


def parse_models(response: Response) -> list[Model]:
    """Every served model with its versions and signatures."""
    document = _document(response)
    try:
        return [
            Model(
                name=details["name"],
                versions=tuple(details["versions"]),
                signatures={
                    name: Signature(name, _specs(described["inputs"]), _specs(described["outputs"]))
                    for name, described in details["signatures"].items()
                },
                problem=details.get("error", ""),
            )
            for details in document["details"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Internal(f"the answer is not a list of models: {_quoted(response)}") from error


def build_ready(timeout_s: float) -> Request:
    """The question whether every model answers."""
    return Request("GET", "/readyz", timeout_s)


def parse_ready(response: Response) -> str:
    """What keeps the server from being ready; empty when it is."""
    if response.status == HTTPStatus.OK:
        return ""
    try:
        document = values.loads(response.body)
        if document["draining"]:
            return "it is stopping"
        return f"no version yet of {', '.join(map(repr, document['missing']))}"
    except (KeyError, TypeError, ValueError):
        return f"it answers {response.status} to /readyz"


def error_of(response: Response) -> ServingError:
    """The error that a response other than 200 stands for, in the server's words."""
    try:
        message = values.loads(response.body)["error"]
    except (KeyError, TypeError, ValueError):
        message = None
    if not isinstance(message, str):
        message = f"the server answers {response.status}, and not as a gateway does: {_quoted(response)}"
    if response.status == TooLarge.http_status:
        return TooLarge(message)
    error = from_code(_CODES.get(response.status, "INTERNAL"), message)
    if isinstance(error, Overloaded):
        error.retry_after_s = response.retry_after_s
    return error


# What a call does, whoever sends


@dataclass
class Server:
    """What a client has learnt of its server; threads may share it."""

    known: Known = field(default_factory=dict)
    extensions: frozenset[str] | None = None
    """None: not asked yet."""


def _predicting(
    server: Server, model: str, version: int | None, signature: str, inputs: Mapping[str, Any], timeout_s: float
) -> Steps[Arrays]:
    known = server.known
    deadline = time.monotonic() + timeout_s
    describe = partial(_describing, timeout_s)
    expected, chosen, arrays = yield from calls.fitting(known, describe, model, version, signature, inputs)
    binary = open_inference.pays(arrays, chosen) and (yield from _takes_binary(server, timeout_s))
    left_s = max(0.001, deadline - time.monotonic())
    if binary:
        response = yield build_infer(model, arrays, chosen, version=version, timeout_s=left_s)
    else:
        response = yield build_predict(model, arrays, version=version, signature=chosen.name, timeout_s=left_s)
    if response.version not in (None, expected.number):
        known.pop((model, version), None)  # another version answered
        if response.status == HTTPStatus.OK:
            answered = known[model, version] = yield from describe(model, response.version)
            chosen = select(answered.signatures, signature, model)
    return parse_infer(response, chosen) if binary else parse_predict(response, chosen)


def _takes_binary(server: Server, timeout_s: float) -> Steps[bool]:
    if server.extensions is None:
        server.extensions = parse_extensions((yield build_extensions(timeout_s)))
    return open_inference.EXTENSION in server.extensions


def _describing(timeout_s: float, model: str, version: int | None) -> Steps[Version]:
    return parse_metadata((yield build_metadata(model, version, timeout_s)))


def _refreshing(known: Known, model: str, version: int | None, timeout_s: float) -> Steps[Version]:
    described = known[model, version] = yield from _describing(timeout_s, model, version)
    return described


def _listing(timeout_s: float) -> Steps[list[Model]]:
    return parse_models((yield build_models(timeout_s)))


def _asking_ready(timeout_s: float) -> Steps[str]:
    return parse_ready((yield build_ready(timeout_s)))


# Sending


class Client:
    """Calls a gateway. Connections are kept open; several threads may share one client."""

    def __init__(
        self, url: str = DEFAULT_URL, *, timeout_s: float = DEFAULT_TIMEOUT_S, headers: Mapping[str, str] | None = None
    ) -> None:
        """timeout_s: for calls that do not say their own. headers: sent with every request."""
        self.url = url
        self._timeout_s = timeout_s
        self._server = Server()
        self._http = httpx.Client(**_options(url, headers))

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
    ) -> Arrays:
        """The outputs by name, in the signature's dtypes; strings as an array of dtype object that holds bytes.

        inputs: arrays or nested lists by name, with one row a first-axis element; strings may be str or bytes.
        version: default the highest. signature: default `serving_default`. timeout_s: to wait for an answer.
        """
        within_s = self._timeout_s if timeout_s is None else timeout_s
        return drive(_predicting(self._server, model, version, signature or DEFAULT, inputs, within_s), self._send)

    def describe(self, model: str, *, version: int | None = None) -> Version:
        """The version that answers now, with all its signatures."""
        return drive(_refreshing(self._server.known, model, version, self._timeout_s), self._send)

    def signature(self, model: str, signature: str = DEFAULT, *, version: int | None = None) -> Signature:
        """Names, dtypes and shapes that the model takes and gives now."""
        return select(self.describe(model, version=version).signatures, signature, model)

    def models(self) -> list[Model]:
        """What is served: names, versions, signatures."""
        return drive(_listing(self._timeout_s), self._send)

    def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Return when every model answers; raises `Unavailable`, with the reason, when that takes too long."""
        drive(calls.waiting(_asking_ready, self.url, timeout_s), self._send)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _send(self, request: Request) -> Response:
        try:
            return _received(self._http.request(**_sent(request)))
        except httpx.HTTPError as error:
            raise _translated(error, self.url, request.timeout_s) from error


class AsyncClient:
    """Calls a gateway from asyncio. Connections are kept open; calls may run side by side."""

    def __init__(
        self, url: str = DEFAULT_URL, *, timeout_s: float = DEFAULT_TIMEOUT_S, headers: Mapping[str, str] | None = None
    ) -> None:
        """timeout_s: for calls that do not say their own. headers: sent with every request."""
        self.url = url
        self._timeout_s = timeout_s
        self._server = Server()
        self._http = httpx.AsyncClient(**_options(url, headers))

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
    ) -> Arrays:
        """As `Client.predict`."""
        within_s = self._timeout_s if timeout_s is None else timeout_s
        return await drive_async(
            _predicting(self._server, model, version, signature or DEFAULT, inputs, within_s), self._send
        )

    async def describe(self, model: str, *, version: int | None = None) -> Version:
        """As `Client.describe`."""
        return await drive_async(_refreshing(self._server.known, model, version, self._timeout_s), self._send)

    async def signature(self, model: str, signature: str = DEFAULT, *, version: int | None = None) -> Signature:
        """As `Client.signature`."""
        return select((await self.describe(model, version=version)).signatures, signature, model)

    async def models(self) -> list[Model]:
        """As `Client.models`."""
        return await drive_async(_listing(self._timeout_s), self._send)

    async def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """As `Client.wait_ready`."""
        await drive_async(calls.waiting(_asking_ready, self.url, timeout_s), self._send)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, request: Request) -> Response:
        try:
            return _received(await self._http.request(**_sent(request)))
        except httpx.HTTPError as error:
            raise _translated(error, self.url, request.timeout_s) from error


def _options(url: str, headers: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"the URL is {url!r}; expected http://HOST:PORT ({error})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"the URL is {url!r}; expected http://HOST:PORT")
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=_KEEP_ALIVE_S)
    return {"base_url": parsed, "limits": limits, "headers": {"content-type": "application/json", **(headers or {})}}


def _sent(request: Request) -> dict[str, Any]:
    timeout = httpx.Timeout(request.timeout_s, connect=min(_CONNECT_S, request.timeout_s))
    return {
        "method": request.method,
        "url": request.path,
        "content": request.body or None,
        "timeout": timeout,
        "headers": request.headers,
    }


def _received(answer: httpx.Response) -> Response:
    version = answer.headers.get("x-signet-model-version", "")
    wait = answer.headers.get("retry-after", "")
    json_bytes = answer.headers.get(HEADER, "")
    return Response(
        answer.status_code,
        answer.content,
        int(version) if version.isdecimal() else None,
        float(wait) if wait.isdecimal() else None,
        int(json_bytes) if json_bytes.isdecimal() else None,
    )


def _translated(error: httpx.HTTPError, url: str, timeout_s: float) -> ServingError:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable(f"cannot reach {url}: {error or 'no connection in time'}")
    if isinstance(error, httpx.TimeoutException):
        return DeadlineExceeded(f"{url} did not answer within {timeout_s:g} s")
    return Unavailable(f"{url} broke the connection off: {error or type(error).__name__}")


def _path(model: str, version: int | None, dialect: str = "v1") -> str:
    if not re.fullmatch(r"[^/:]+", model) or model in (".", ".."):
        raise InvalidInput(f"the model's name is {model!r}; expected one without '/' and ':'")
    return f"/{dialect}/models/{quote(model, safe='')}" + ("" if version is None else f"/versions/{version}")


def _document(response: Response) -> dict[str, Any]:
    if response.status != HTTPStatus.OK:
        raise error_of(response)
    try:
        document = values.loads(response.body)
    except ValueError as error:
        raise Internal(f"the answer is not JSON: {_quoted(response)}") from error
    if not isinstance(document, dict):
        raise Internal(f"the answer is not an object: {_quoted(response)}")
    return document


def _specs(described: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(name, tensor["dtype"], tensor["shape"]) for name, tensor in described.items()}


def _spec(name: str, dtype: str | None, shape: list[int] | None) -> TensorSpec:
    return TensorSpec(
        name,
        _DTYPES[dtype] if dtype else None,
        None if shape is None else tuple(None if size < 0 else size for size in shape),
        "",
    )


def _quoted(response: Response) -> str:
    text = response.body.decode(errors="replace")
    return repr(text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…")
