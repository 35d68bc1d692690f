"""TensorFlow Serving's REST API in front of the engine: its paths, order of checks, statuses and messages.

    path ──▶ JSON ──▶ lease a version ──▶ signature ──▶ decode inputs ──▶ run ──▶ JSON

Source: `http_server.cc`, `http_rest_api_handler.cc`.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from signet.serving.engine.repository import Repository
from signet.serving.engine.servable import Servable
from signet.serving.errors import Internal, InvalidInput, NotFound, Overloaded, ServingError, Unavailable
from signet.serving.grpc_dialect import example_inference
from signet.serving.http.server import Request, Response, page
from signet.serving.json_arrays import number_arrays
from signet.serving.model_server import tensorflow_text
from signet.serving.model_server.all_processes import AllProcesses
from signet.serving.model_server.flags import Flags
from signet.serving.model_server.monitoring import OURS, REST, THEIRS, UNKNOWN, Monitoring, metrics_path
from signet.serving.model_server.rest import predict_json, request_body, routes, status_json
from signet.serving.model_server.rest.large_bodies import decode_predict, parse_examples, parse_predict
from signet.serving.model_server.rest.routes import Target, VersionTooLarge
from signet.serving.model_server.services import Large, ModelService, PredictionService
from signet.serving.offload import large_bodies, large_messages
from signet.serving.offload.pool import LARGE_BYTES, LARGE_ELEMENTS, Offload
from signet.serving.offload.reading import reading
from signet.serving.process import combining
from signet.serving.process.combining import Family
from signet.serving.rest_dialect import examples_json
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.rest_dialect.json_text import NOT_UTF8, error_body, loads
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)
from signet.serving.tensors.signature import DEFAULT, Signature

log = logging.getLogger(__name__)

_METHODS = frozenset(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
_JSON = b"Content-Type: application/json\r\n"
_HTML = b"Content-Type: text/html; charset=ISO-8859-1\r\n"
_CORS = (
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Methods: POST, GET\r\n"
    b"Access-Control-Allow-Headers: Content-Type\r\n"
)
_METRICS_PATH = b"/metrics"

Decode = Callable[[Signature], Arrays | Awaitable[Arrays]]
"""The arrays of a body that fit the signature; of a large body they are awaited."""


class TimeLimit:
    """Stands where gRPC has a context: says how long a call may take."""

    def __init__(self, milliseconds: int) -> None:
        """milliseconds: 0 or below means no limit."""
        self._seconds = milliseconds / 1000 if milliseconds > 0 else None

    def time_remaining(self) -> float | None:
        return self._seconds


class RestService:
    """Answers HTTP requests."""

    def __init__(
        self,
        flags: Flags,
        repository: Repository,
        prediction: PredictionService,
        model: ModelService,
        monitoring: Monitoring,
        all_processes: AllProcesses,
        offload: Offload,
    ) -> None:
        """offload: reads large bodies. Raises `NotFound` and `InvalidInput` for a monitoring file that cannot be read."""
        self._repository, self._prediction, self._model = repository, prediction, model
        self._monitoring, self._metrics_path = monitoring, metrics_path(flags.monitoring_config_file).encode()
        self._all = all_processes
        self._limit = TimeLimit(flags.rest_api_timeout_in_ms)
        self._cors = _CORS if flags.rest_api_enable_cors_support else b""
        self._check_methods = flags.enable_signature_method_name_check
        self._offload = offload

    async def answer(self, request: Request) -> Response:
        if request.method not in _METHODS:
            return page(HTTPStatus.NOT_IMPLEMENTED)
        path, _, query = request.path.partition(b"?")
        if path == self._metrics_path:
            return await self._tensorflow_metrics(query)
        if routes.is_api(path):
            return self._preflight(request) if request.method == "OPTIONS" else await self._api(request)
        if path == _METRICS_PATH and request.method == "GET":
            return await self._metrics(OURS, combining.text, b"Content-Type: text/plain; version=0.0.4\r\n")
        return page(HTTPStatus.NOT_FOUND)

    def refused(self, error: ServingError) -> Response:
        """The answer to a request that never came whole: too large, too slow, or no room for it."""
        retry = b"Retry-After: 1\r\n" if isinstance(error, Overloaded) else b""
        return Response(error.http_status, error_body(str(error)), _JSON + retry + self._cors, close=True)

    def _preflight(self, request: Request) -> Response:
        origin = request.headers.get(b"origin", b"")
        known = b"http://" in origin or b"https://" in origin
        return Response(200 if known else 400, b"", _HTML + self._cors)

    async def _api(self, request: Request) -> Response:
        started = time.perf_counter()
        context = _RequestContext()
        code = "OK"
        try:
            with self._monitoring.in_flight[REST]:
                status, answer = 200, await self._asked(request, context)
        except ServingError as error:
            status, code, answer = error.http_status, error.grpc_code, error_body(str(error))
        except VersionTooLarge:
            status, code, answer = InvalidInput.http_status, InvalidInput.grpc_code, b""
        except Exception:
            log.exception("a REST request failed")
            message = "internal error; the model server's log says more"
            status, code, answer = Internal.http_status, Internal.grpc_code, error_body(message)
        seconds = time.perf_counter() - started
        self._monitoring.answered(
            REST, context.verb, context.model, code, seconds, version=context.version, signature=context.signature
        )
        return Response(status, answer, _JSON + self._cors)

    async def _asked(self, request: Request, context: "_RequestContext") -> bytes:
        """The answer to a request of the API. Raises `ServingError` and `VersionTooLarge`."""
        target = routes.parse(request.method, request.path)
        if target is None:
            raise InvalidInput(f"Malformed request: {request.method} {request.path.decode(errors=NOT_UTF8)}")
        context.verb, context.model = target.verb, target.name.encode(errors="replace").decode()
        if target.verb == "status":
            return await self._status(target)
        if target.verb == "metadata":
            return await self._metadata(target)
        body = await request_body.plain(request.body, request.headers)
        if target.verb == "predict":
            return await self._predict(target, body, context)
        return await self._infer(target, body, context)

    async def _predict(self, target: Target, body: bytes, context: "_RequestContext") -> bytes:
        if len(body) < LARGE_BYTES:
            document = loads(body, number_arrays.loads)

            def decode(signature: Signature) -> Arrays:
                return predict_json.decode(document, signature, predict_json.may_hold_booleans(document, body))[0]

            name, layout = document.get("signature_name", ""), predict_json.layout_of(document)
            return await self._run(target, name, decode, layout, context)
        with reading(self._offload, parse_predict, decode_predict, body, text=body) as large:
            name, layout = await large.head()
            return await self._run(target, name, large.arrays, layout, context)

    async def _run(
        self, target: Target, signature_name: str, decode: Decode, layout: Layout, context: "_RequestContext"
    ) -> bytes:
        """The answer to a predict body that names that signature."""
        servable = self._lease(target)
        try:
            signature = self._signature(servable, signature_name)
            decoded = decode(signature)
            inputs = decoded if isinstance(decoded, dict) else await decoded
            context.version, context.signature = str(servable.version), signature.name
            outputs = await self._prediction.run("Predict", servable, signature, inputs, (), self._limit)
        finally:
            servable.release()
        if large_bodies.elements(outputs) < LARGE_ELEMENTS:
            return predict_json.encode(outputs, layout)
        return await self._offload.call(predict_json.encode, outputs, layout)

    def _lease(self, target: Target) -> Servable:
        version = self._repository.labelled(target.name, target.label) if target.label else target.version
        return self._repository.lease(target.name, version)

    def _signature(self, servable: Servable, name: str) -> Signature:
        signature = servable.signatures.get(name or DEFAULT)
        if signature is None:
            raise InvalidInput(f'Serving signature name: "{name or DEFAULT}" not found in signature def')
        if self._check_methods and signature.method_name not in example_inference.PREDICT_METHODS:
            raise example_inference.wrong_method(signature)
        return signature

    async def _infer(self, target: Target, body: bytes, context: "_RequestContext") -> bytes:
        """Classify or Regress, through the service that gRPC uses."""
        classify = target.verb == "classify"
        message = classification_pb2.ClassificationRequest() if classify else regression_pb2.RegressionRequest()
        spec = _name(message.model_spec, target)
        if len(body) < LARGE_BYTES:
            document = loads(body)
            spec.signature_name = document.get("signature_name", "")
            examples_json.fill(document, message.input)
            return await self._on_examples(message, None, context)
        with reading(self._offload, parse_examples, large_messages.decode_examples, body) as large:
            spec.signature_name = await large.head()
            return await self._on_examples(message, large, context)

    async def _on_examples(
        self,
        message: classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest,
        large: Large,
        context: "_RequestContext",
    ) -> bytes:
        if isinstance(message, classification_pb2.ClassificationRequest):
            classified = await self._prediction.classify(message, self._limit, large)
            used, answer = classified.model_spec, examples_json.encode_classifications(classified.result)
        else:
            regressed = await self._prediction.regress(message, self._limit, large)
            used, answer = regressed.model_spec, examples_json.encode_regressions(regressed.result)
        context.version, context.signature = str(used.version.value), used.signature_name
        return answer

    async def _status(self, target: Target) -> bytes:
        """A label in the path says nothing here, as in the original."""
        message = get_model_status_pb2.GetModelStatusRequest()
        _name(message.model_spec, target).ClearField("version_label")
        return status_json.encode_status(await self._model.status(message, self._limit))

    async def _metadata(self, target: Target) -> bytes:
        message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _name(message.model_spec, target)
        return status_json.encode_metadata(await self._prediction.metadata(message, self._limit))

    async def _metrics(self, group: str, text: Callable[[list[Family]], bytes], header: bytes) -> Response:
        """The counts of all processes, of one group, as a text."""
        try:
            return Response(200, text(await self._all.told(group)), header)
        except Unavailable as error:
            return Response(error.http_status, str(error).encode(), header)

    async def _tensorflow_metrics(self, query: bytes) -> Response:
        header = b"Content-Type: text/plain\r\n"
        if not query:
            return await self._metrics(THEIRS, tensorflow_text.text, header)
        asked = self._metrics_path + b"?" + query
        return Response(400, b"Unexpected path: %b. Should be %b" % (asked, self._metrics_path), header)


def _name(spec: model_pb2.ModelSpec, target: Target) -> model_pb2.ModelSpec:
    if not target.name:
        raise InvalidInput("Missing model name in request.")
    try:
        spec.name = target.name
    except UnicodeEncodeError:  # no model has such a name, and no message can carry it
        raise NotFound(f"Servable not found for request: Latest({target.name})") from None
    if target.version is not None:
        spec.version.value = target.version
    if target.label is not None:
        spec.version_label = target.label
    return spec


class _RequestContext:
    """What is known of a request so far, with which its answer is counted."""

    __slots__ = ("model", "signature", "verb", "version")

    def __init__(self) -> None:
        self.verb = self.model = ""
        self.version = self.signature = UNKNOWN
