"""TensorFlow Serving's REST API in front of the engine: its paths, order of checks, statuses and messages.

    path ──▶ JSON ──▶ lease a version ──▶ signature ──▶ decode inputs ──▶ run ──▶ JSON

Plain ASGI, because every microsecond here is paid by every request. Source: `http_server.cc`,
`http_rest_api_handler.cc`.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from serving.engine import inference
from serving.engine.repository import Repository
from serving.engine.servable import Servable
from serving.errors import Internal, InvalidInput, ServingError
from serving.model_server import examples_json, predict_json, request_body, rest_routes, status_json
from serving.model_server.flags import Flags
from serving.model_server.grpc_service import ModelService, PredictionService
from serving.model_server.json_text import NOT_UTF8, error_body, loads
from serving.model_server.monitoring import REST, UNKNOWN, Monitoring, metrics_path
from serving.model_server.rest_routes import Target, VersionTooLarge
from serving.protos import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, regression_pb2
from serving.signature import DEFAULT, Signature

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
Send = Callable[[Any], Awaitable[None]]

_METHODS = frozenset(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
_JSON: Headers = [(b"content-type", b"application/json")]
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]
_METRICS_PATH = b"/metrics"


class Request:
    """What is known of a request so far; it is counted with that."""

    __slots__ = ("model", "signature", "started", "verb", "version")

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.verb = self.model = ""
        self.version = self.signature = UNKNOWN


class TimeLimit:
    """Stands where gRPC has a context: says how long a call may take."""

    def __init__(self, milliseconds: int) -> None:
        """milliseconds: 0 or below means no limit."""
        self._seconds = milliseconds / 1000 if milliseconds > 0 else None

    def time_remaining(self) -> float | None:
        return self._seconds


class RestService:
    """The ASGI application."""

    def __init__(
        self,
        flags: Flags,
        repository: Repository,
        prediction: PredictionService,
        model: ModelService,
        monitoring: Monitoring,
    ) -> None:
        """Raises `NotFound` and `InvalidInput` for a monitoring file that cannot be read."""
        self._repository, self._prediction, self._model = repository, prediction, model
        self._monitoring, self._metrics_path = monitoring, metrics_path(flags.monitoring_config_file).encode()
        self._limit = TimeLimit(flags.rest_api_timeout_in_ms)
        self._cors = _CORS if flags.rest_api_enable_cors_support else []
        self._check_methods = flags.enable_signature_method_name_check

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        method, path, query = scope["method"], scope["raw_path"], scope["query_string"]
        if method not in _METHODS:
            await _send(send, *html(HTTPStatus.NOT_IMPLEMENTED))
        elif path == self._metrics_path:
            await _send(send, *self._tensorflow_metrics(query))
        elif rest_routes.is_api(path):
            await self._api(method, path + b"?" + query if query else path, dict(scope["headers"]), receive, send)
        elif path == _METRICS_PATH and method == "GET":
            await _send(send, 200, self._monitoring.text(), [(b"content-type", b"text/plain; version=0.0.4")])
        else:
            await _send(send, *html(HTTPStatus.NOT_FOUND))

    async def _api(self, method: str, path: bytes, headers: dict[bytes, bytes], receive: Any, send: Send) -> None:
        if method == "OPTIONS":
            origin = headers.get(b"origin", b"")
            status = 200 if b"http://" in origin or b"https://" in origin else 400
            await _send(send, status, b"", [(b"content-type", b"text/html; charset=ISO-8859-1"), *self._cors])
            return
        request = Request()
        code = "OK"
        try:
            with self._monitoring.in_flight[REST]:
                status, answer = 200, await self._answer(method, path, headers, receive, request)
        except ServingError as error:
            status, code, answer = error.http_status, error.grpc_code, error_body(str(error))
        except VersionTooLarge:
            status, code, answer = InvalidInput.http_status, InvalidInput.grpc_code, b""
        except Exception:
            log.exception("a REST request failed")
            message = "internal error; the model server's log says more"
            status, code, answer = Internal.http_status, Internal.grpc_code, error_body(message)
        await _send(send, status, answer, _JSON + self._cors)
        seconds = time.perf_counter() - request.started
        self._monitoring.answered(
            REST, request.verb, request.model, code, seconds, version=request.version, signature=request.signature
        )

    async def _answer(
        self, method: str, path: bytes, headers: dict[bytes, bytes], receive: Any, request: Request
    ) -> bytes:
        target = rest_routes.parse(method, path)
        if target is None:
            raise InvalidInput(f"Malformed request: {method} {path.decode(errors=NOT_UTF8)}")
        request.verb, request.model = target.verb, target.name
        if target.verb == "status":
            return await self._status(target)
        if target.verb == "metadata":
            return await self._metadata(target)
        body = await request_body.read(receive, headers)
        if target.verb == "predict":
            return await self._predict(target, body, request)
        return await self._infer(target, body, request)

    async def _predict(self, target: Target, body: bytes, request: Request) -> bytes:
        document = loads(body)
        servable = self._lease(target)
        try:
            signature = self._signature(servable, document.get("signature_name"))
            has_booleans = b"true" in body or b"false" in body
            inputs, layout = predict_json.decode(document, signature, has_booleans)
            request.version, request.signature = str(servable.version), signature.name
            outputs = await self._prediction.run("Predict", servable, signature, inputs, (), self._limit)
        finally:
            servable.release()
        return predict_json.encode(outputs, layout)

    def _lease(self, target: Target) -> Servable:
        version = self._repository.labelled(target.name, target.label) if target.label else target.version
        return self._repository.lease(target.name, version)

    def _signature(self, servable: Servable, name: str | None) -> Signature:
        signature = servable.signatures.get(name or DEFAULT)
        if signature is None:
            raise InvalidInput(f'Serving signature name: "{name or DEFAULT}" not found in signature def')
        if self._check_methods and signature.method_name not in inference.PREDICT_METHODS:
            raise Internal(f"Expected prediction signature method_name, was {signature.method_name}")
        return signature

    async def _infer(self, target: Target, body: bytes, request: Request) -> bytes:
        """Classify or Regress, through the service that gRPC uses."""
        document = loads(body)
        classify = target.verb == "classify"
        message = classification_pb2.ClassificationRequest() if classify else regression_pb2.RegressionRequest()
        _name(message.model_spec, target).signature_name = document.get("signature_name", "")
        examples_json.fill(document, message.input)
        call = self._prediction.classify if classify else self._prediction.regress
        response = await call(message, self._limit)
        chosen = response.model_spec
        request.version, request.signature = str(chosen.version.value), chosen.signature_name
        encode = examples_json.encode_classifications if classify else examples_json.encode_regressions
        return encode(response.result)

    async def _status(self, target: Target) -> bytes:
        """A label in the path says nothing here, as in the original."""
        message = get_model_status_pb2.GetModelStatusRequest()
        _name(message.model_spec, target).ClearField("version_label")
        return status_json.encode_status(await self._model.status(message, None))

    async def _metadata(self, target: Target) -> bytes:
        message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _name(message.model_spec, target)
        return status_json.encode_metadata(await self._prediction.metadata(message, None))

    def _tensorflow_metrics(self, query: bytes) -> tuple[int, bytes, Headers]:
        headers = [(b"content-type", b"text/plain")]
        if not query:
            return 200, self._monitoring.tensorflow_text(), headers
        asked = self._metrics_path + b"?" + query
        return 400, b"Unexpected path: %b. Should be %b" % (asked, self._metrics_path), headers


def html(status: HTTPStatus) -> tuple[int, bytes, Headers]:
    """What libevent answers, under the original, where no handler does."""
    title = f"{status.value} {status.phrase}"
    body = f"<HTML><HEAD>\n<TITLE>{title}</TITLE>\n</HEAD><BODY>\n<H1>{status.phrase}</H1>\n</BODY></HTML>\n"
    return status.value, body.encode(), [(b"content-type", b"text/html"), (b"connection", b"close")]


def _name(spec: Any, target: Target) -> Any:
    if not target.name:
        raise InvalidInput("Missing model name in request.")
    spec.name = target.name
    if target.version is not None:
        spec.version.value = target.version
    if target.label is not None:
        spec.version_label = target.label
    return spec


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
