"""A gateway or a model server over gRPC, such as TensorFlow Serving: named arrays or lists in, named arrays out.

    with GrpcClient("localhost:8500") as client:
        client.predict("digits", {"pixels": images})            # {"digit": float32 (n, 10)}

    inputs ──to_arrays──▶ arrays that fit the signature ──build_predict──▶ PredictRequest
                                                outputs ◀──parse_predict── PredictResponse

Signatures are asked for once and again when another version answers. Errors are the classes of `serving/errors.py`.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from signet.clients.client import calls, connecting, current_trace, grpc_messages
from signet.clients.client.answer import Answer
from signet.clients.client.caller import DEFAULT_TIMEOUT_S, BlockingCaller
from signet.clients.client.calls import CallSteps, VersionSelector, drive
from signet.clients.client.connecting import Access, Certificate, FilePath
from signet.clients.client.grpc_messages import Call
from signet.clients.client.http_messages import Model
from signet.clients.client.retries import Retry
from signet.clients.client.server_calls import ServerCalls
from signet.clients.client.throttling import Throttle
from signet.serving import request_id
from signet.serving.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    Overloaded,
    ServingError,
    TooLarge,
    Unavailable,
    UsageError,
    from_code,
)
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.open_inference import open_inference_pb2
from signet.serving.tensors.protos import model_service_pb2_grpc, prediction_service_pb2_grpc

DEFAULT_ADDRESS = "localhost:8500"

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # the 4 MiB default is the client's, not the server's
    ("grpc.max_send_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A call that waits asks now and then whether the connection lives, or it would wait for ever behind a dead one.
    # Servers end connections that ask more often than every five minutes, or without a call (GOAWAY, too_many_pings).
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
]
_TOO_LARGE = re.compile("message larger than max", re.IGNORECASE)
"""What gRPC says, with the code of an overloaded server."""
PUSHBACK = "grpc-retry-pushback-ms"
"""Trailing metadata that says when to come back (gRFC A6)."""
_MILLISECONDS = re.compile(r"\d{1,9}", re.ASCII)


class _GrpcServer(ServerCalls):
    """The calls of a gateway or a model server over gRPC."""

    _build_metadata = staticmethod(grpc_messages.build_metadata)
    _parse_metadata = staticmethod(grpc_messages.parse_metadata)
    _failure = staticmethod(lambda _: None)

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
        try:
            response = yield from self._send(
                lambda left_s: grpc_messages.build_predict(
                    model, arrays, left_s, selector=selector, signature=chosen.name, outputs=outputs
                ),
                deadline,
                predicting=model,
            )
        except (InvalidInput, FailedPrecondition):
            self._cache.pop((model, selector), None)  # it may be another version that answered
            raise
        version = response.model_spec.version.value
        if version != expected.number:
            self._cache.pop((model, selector), None)
        answered = calls.parsed(lambda: grpc_messages.parse_predict(response))
        calls.check_answered(arrays, answered, chosen)
        return Answer(answered, model, version or None)

    def models(self, deadline: float) -> CallSteps[list[Model]]:
        index = grpc_messages.parse_index((yield from self._send(grpc_messages.build_index, deadline)))
        models = []
        for name, versions in index.items():
            try:
                described = yield from self.describe(name, None, deadline)
            except (NotFound, Unavailable) as error:
                models.append(Model(name, (), {}, str(error)))
            else:
                models.append(Model(name, tuple(versions), described.signatures))
        return models

    def status(self, model: str, deadline: float) -> CallSteps[list[VersionStatus]]:
        build = partial(grpc_messages.build_status, model)
        return grpc_messages.parse_status((yield from self._send(build, deadline)))

    def ready(self, model: str | None, timeout_s: float) -> CallSteps[str]:
        if model is None:
            return (
                ""
                if (yield grpc_messages.build_ready(timeout_s)).ready
                else "not every model has a version that answers"
            )
        try:
            states = [
                status.state
                for status in grpc_messages.parse_status((yield grpc_messages.build_status(model, timeout_s)))
            ]
        except NotFound as error:
            return str(error)
        if State.AVAILABLE in states:
            return ""
        return f"the versions of model {model!r} are {', '.join(state.name for state in states) or 'none'}"


class GrpcClient(BlockingCaller):
    """Calls a gateway or a model server. The connection is kept open; several threads may share one client."""

    _server: _GrpcServer

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
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
        """address: HOST:PORT. timeout_s: for calls that do not say their own. headers: metadata of every call.

        token: sent as `authorization: Bearer`; default $SIGNET_TOKEN, if there is one. key: of a gateway that asks for one, as
        `signet keys add` prints it; default $SIGNET_KEY, if there is one. ca_file: PEM of who may sign the
        server's certificate; with it, or with a client_certificate, a PEM file or those of certificate and key, the
        connection is TLS. retry: `NEVER` for none. throttle: raise `Throttled` rather than send, for a part of the calls of
        a model, while the server refuses most of them as it is overloaded.
        """
        access = connecting.access(headers, token, ca_file, client_certificate, key)
        self._begin(address, access, timeout_s, retry, throttle)

    def _connect(self, place: str, access: Access) -> str:
        if not isinstance(place, str) or "/" in place:
            raise UsageError(f"the address is {place!r}; expected HOST:PORT, of a gRPC port")
        self.address = place
        self._metadata = tuple((name.lower(), value) for name, value in access.headers)
        self._closed = False
        self._channel = channel(place, access)
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._methods = {
            "Predict": prediction.Predict,
            "GetModelMetadata": prediction.GetModelMetadata,
            "GetModelStatus": models.GetModelStatus,
            **{name: _infer_method(self._channel, name) for name in ("RepositoryIndex", "ServerReady")},
        }
        return place

    def _calls(self, retry: Retry, throttle: Throttle | None) -> _GrpcServer:
        return _GrpcServer(retry, throttle)

    @property
    def _shown(self) -> str:
        return self.address

    def status(self, model: str) -> list[VersionStatus]:
        """The states of the model's versions; raises `NotFound` for a model that the server does not have."""
        return drive(self._server.status(model, self._deadline()), self._send)

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._channel.close()

    def _send(self, call: Call) -> Any:
        if self._closed:
            raise UsageError(f"this client of {self.address} is closed")
        timeout_s = None if math.isinf(call.timeout_s) else call.timeout_s
        try:
            metadata = self._metadata
            if fields := current_trace.fields():
                metadata = (*fields, *((name, value) for name, value in metadata if name not in dict(fields)))
            return self._methods[call.method](call.request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise _translated(error, self.address, call.timeout_s) from error
        except (ValueError, TypeError) as error:  # it was closed meanwhile, or what is asked is no message
            raise InvalidInput(f"the call cannot be made: {error}") from error


def channel(address: str, access: Access) -> grpc.Channel:
    """A connection to HOST:PORT, by TLS where there are certificates. Raises `UsageError` for files that are none."""
    options = [*CHANNEL_OPTIONS, *without_proxy(address)]
    if not access.has_tls:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials(access), options=options)


def credentials(access: Access) -> grpc.ChannelCredentials:
    """The certificates, for gRPC."""
    access.ssl_context()  # says what is wrong with the files
    paths = (access.ca_file, (access.key or access.certificate) if access.certificate else "", access.certificate)
    return grpc.ssl_channel_credentials(*(Path(path).read_bytes() if path else None for path in paths))


def without_proxy(address: str) -> list[tuple[str, int]]:
    """This machine is never asked through a proxy."""
    here = connecting.is_here(address.rpartition(":")[0].strip("[]"))
    return [("grpc.enable_http_proxy", 0)] if here else []


def _infer_method(channel: grpc.Channel, name: str) -> Any:
    """A method of the Open Inference Protocol."""
    request = getattr(open_inference_pb2, f"{name}Request")
    response = getattr(open_inference_pb2, f"{name}Response")
    path = f"/inference.GRPCInferenceService/{name}"
    return channel.unary_unary(path, request.SerializeToString, response.FromString)


def _translated(error: Any, address: str, timeout_s: float) -> ServingError:
    translated = _of_code(error, address, timeout_s)
    named = (value for key, value in error.trailing_metadata() or () if key == request_id.KEY)
    translated.request_id = request_id.accepted(next(named, None))
    return translated


def _of_code(error: Any, address: str, timeout_s: float) -> ServingError:
    code, details = error.code().name, error.details() or error.code().name
    retry_after_s = _retry_after_s(error.trailing_metadata() or ())
    if code == Unavailable.grpc_code:
        away = Unavailable(f"cannot reach {connecting.way_of(address)}: {details}")
        away.retry_after_s = retry_after_s
        return away
    if code == DeadlineExceeded.grpc_code:
        return DeadlineExceeded(f"{address} did not answer within {timeout_s:.2g} s")
    if code == Overloaded.grpc_code and _TOO_LARGE.search(details):
        return TooLarge(f"{address} takes no message of this size: {details}")
    failed = from_code(code, details)
    failed.retry_after_s = retry_after_s
    return failed


def _retry_after_s(trailing: Iterable[tuple[str, str | bytes]]) -> float | None:
    """When to come back, as a server says by gRPC's own word for it; one that says never has no such time."""
    for name, value in trailing:
        if name == PUSHBACK and isinstance(value, str) and _MILLISECONDS.fullmatch(value):
            return int(value) / 1e3
    return None
