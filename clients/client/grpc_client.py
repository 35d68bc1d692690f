"""A gateway or a model server over gRPC, such as TensorFlow Serving: named arrays or lists in, named arrays out.

    with GrpcClient("localhost:8500") as client:
        client.predict("digits", {"pixels": images})            # {"digit": float32 (n, 10)}

    inputs ──to_arrays──▶ arrays that fit the signature ──build_predict──▶ PredictRequest
                                                outputs ◀──parse_predict── PredictResponse

Signatures are asked for once and again when another version answers. Errors are the classes of `serving/errors.py`.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import grpc
from google.protobuf.message import Message

from signet.clients.client import calls, connecting, dataframes, values
from signet.clients.client.calls import (
    CallSteps,
    Describe,
    SignatureCache,
    Version,
    VersionSelector,
    drive,
    selector_of,
)
from signet.clients.client.connecting import Access, Certificate, FilePath
from signet.clients.client.dataframes import Frame
from signet.clients.client.http_messages import Model
from signet.clients.client.retries import Budget, Retry
from signet.serving.errors import (
    CODE_NAMES,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
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
from signet.serving.tensors.arrays import Arrays, from_proto, to_proto
from signet.serving.tensors.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from signet.serving.tensors.signature import DEFAULT, Signature, from_signature_def, internal, select

DEFAULT_ADDRESS = "localhost:8500"
DEFAULT_TIMEOUT_S = 30.0

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


@dataclass(frozen=True)
class Call:
    """A method of the server and what it is asked."""

    method: str
    request: Message
    timeout_s: float


# Pure: messages and what they say


def build_predict(
    model: str,
    arrays: Arrays,
    timeout_s: float,
    *,
    selector: VersionSelector = None,
    signature: str = DEFAULT,
    outputs: Collection[str] = (),
) -> Call:
    """A PredictRequest of arrays that were held against the signature. outputs: those to answer; empty: all."""
    request = predict_pb2.PredictRequest(output_filter=outputs)
    _name(request.model_spec, model, selector).signature_name = signature
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(to_proto(array))
    return Call("Predict", request, timeout_s)


def parse_predict(response: predict_pb2.PredictResponse) -> Arrays:
    """The outputs by name."""
    return {name: from_proto(tensor) for name, tensor in sorted(response.outputs.items())}


def build_metadata(model: str, selector: VersionSelector, timeout_s: float) -> Call:
    """The question for the signatures of a version; None: the one that calls without a version get."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    _name(request.model_spec, model, selector)
    return Call("GetModelMetadata", request, timeout_s)


def parse_metadata(response: get_model_metadata_pb2.GetModelMetadataResponse) -> Version:
    """The signatures, those that can be called."""
    packed = get_model_metadata_pb2.SignatureDefMap()
    if not response.metadata["signature_def"].Unpack(packed):
        raise Internal("the answer to GetModelMetadata holds no signatures")
    signatures = {
        name: from_signature_def(name, proto) for name, proto in packed.signature_def.items() if not internal(name)
    }
    return Version(response.model_spec.name, response.model_spec.version.value, signatures)


def build_status(model: str, timeout_s: float) -> Call:
    """The question for the states of a model's versions."""
    request = get_model_status_pb2.GetModelStatusRequest()
    _name(request.model_spec, model, None)
    return Call("GetModelStatus", request, timeout_s)


def build_index(timeout_s: float) -> Call:
    """The question for all that is served, of the Open Inference Protocol: TensorFlow Serving has none."""
    return Call("RepositoryIndex", open_inference_pb2.RepositoryIndexRequest(), timeout_s)


def parse_index(response: open_inference_pb2.RepositoryIndexResponse) -> dict[str, list[int]]:
    """The versions that answer, the highest first, by model; a model without one has an empty list."""
    found: dict[str, list[int]] = {}
    for entry in response.models:
        versions = found.setdefault(entry.name, [])
        if entry.state == "READY" and entry.version.isdecimal():
            versions.append(int(entry.version))
    return {name: sorted(versions, reverse=True) for name, versions in found.items()}


def build_ready(timeout_s: float) -> Call:
    """The question whether every model answers, of the Open Inference Protocol."""
    return Call("ServerReady", open_inference_pb2.ServerReadyRequest(), timeout_s)


def parse_status(response: get_model_status_pb2.GetModelStatusResponse) -> list[VersionStatus]:
    """The versions as the server lists them; states that are not known are left out."""
    return [
        VersionStatus(
            status.version, State(status.state), CODE_NAMES[status.status.error_code], status.status.error_message
        )
        for status in response.model_version_status
        if status.state in set(State)
    ]


# What a call does, whoever sends


class _Server:
    """A server as a client knows it: the signatures it told, and what may be spent on retries."""

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
        try:
            response = yield from self._send(
                lambda left_s: build_predict(
                    model, arrays, left_s, selector=selector, signature=chosen.name, outputs=outputs
                ),
                deadline,
            )
        except (InvalidInput, FailedPrecondition):
            self._cache.pop((model, selector), None)  # it may be another version that answered
            raise
        if response.model_spec.version.value != expected.number:
            self._cache.pop((model, selector), None)
        answered = calls.parsed(lambda: parse_predict(response))
        calls.check_answered(arrays, answered, chosen)
        return answered

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
        index = parse_index((yield from self._send(build_index, deadline)))
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
        build = partial(build_status, model)
        return parse_status((yield from self._send(build, deadline)))

    def ready(self, model: str | None, timeout_s: float) -> CallSteps[str]:
        """What keeps the server, or one model, from answering; empty when nothing does. Asks once."""
        if model is None:
            return "" if (yield build_ready(timeout_s)).ready else "not every model has a version that answers"
        try:
            states = [status.state for status in parse_status((yield build_status(model, timeout_s)))]
        except NotFound as error:
            return str(error)
        if State.AVAILABLE in states:
            return ""
        return f"the versions of model {model!r} are {', '.join(state.name for state in states) or 'none'}"

    def _describe(self, deadline: float) -> Describe:
        def describe(model: str, selector: VersionSelector) -> CallSteps[Version]:
            build = partial(build_metadata, model, selector)
            response = yield from self._send(build, deadline)
            return calls.parsed(lambda: parse_metadata(response))

        return describe

    def _send(self, build: Callable[[float], Call], deadline: float) -> CallSteps[Any]:
        return calls.sending(self._budget, build, _no_failure, deadline)


# Sending


class GrpcClient:
    """Calls a gateway or a model server. The connection is kept open; several threads may share one client."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        ca_file: FilePath | None = None,
        client_certificate: Certificate | None = None,
        retry: Retry = Retry(),  # noqa: B008  # it is frozen
    ) -> None:
        """address: HOST:PORT. timeout_s: for calls that do not say their own. headers: metadata of every call.

        token: sent as `authorization: Bearer`; default $SIGNET_TOKEN, if there is one. ca_file: PEM of who may sign the
        server's certificate; with it, or with a client_certificate, a PEM file or those of certificate and key, the
        connection is TLS. retry: `NEVER` for none.
        """
        self._begin(address, connecting.access(headers, token, ca_file, client_certificate), timeout_s, retry)

    @classmethod
    def of(cls, address: str, access: Access, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> "GrpcClient":
        """A client by what commands were told."""
        made = cls.__new__(cls)
        made._begin(address, access, timeout_s, Retry())
        return made

    def _begin(self, address: str, access: Access, timeout_s: float, retry: Retry) -> None:
        if not isinstance(address, str) or "/" in address:
            raise UsageError(f"the address is {address!r}; expected HOST:PORT, of a gRPC port")
        if not isinstance(retry, Retry):
            raise UsageError(f"retry is {retry!r}; expected a Retry, or NEVER")
        self._begun = (address, access, timeout_s, retry)
        self.address = address
        self._timeout_s = calls.seconds_of(timeout_s, DEFAULT_TIMEOUT_S)
        self._server = _Server(retry)
        self._metadata = tuple((name.lower(), value) for name, value in access.headers)
        self._closed = False
        self._channel = channel(address, access)
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._methods = {
            "Predict": prediction.Predict,
            "GetModelMetadata": prediction.GetModelMetadata,
            "GetModelStatus": models.GetModelStatus,
            **{name: _infer_method(self._channel, name) for name in ("RepositoryIndex", "ServerReady")},
        }

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
        """The outputs by name; text as an array of dtype object that holds str.

        Outputs called `…_bytes`, and strings that are no UTF-8, are bytes.

        inputs: arrays or nested lists by name, with one row a first-axis element; those with a default may be left out;
        strings may be str, bytes or the path of a file that holds them. version or label: default the highest version.
        signature: default `serving_default`. outputs: those wanted; default all. timeout_s: to wait for an answer,
        retries included.
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
        """As `http_client.Client.predict_frame`."""
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
        return select(self.describe(model, version=version, label=label).signatures, signature, model)

    def models(self) -> list[Model]:
        """What is served. Raises `Unsupported` where only TensorFlow Serving answers, which cannot tell."""
        return drive(self._server.models(self._deadline()), self._send)

    def status(self, model: str) -> list[VersionStatus]:
        """The states of the model's versions; raises `NotFound` for a model that the server does not have."""
        return drive(self._server.status(model, self._deadline()), self._send)

    def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S, *, model: str | None = None) -> None:
        """Return when every model answers, or the one that is named; raises `Unavailable` when that takes too long.

        TensorFlow Serving cannot tell of every model: `Unsupported` without a name.
        """
        drive(
            calls.waiting(partial(self._server.ready, model), self.address, calls.seconds_of(timeout_s, 0)), self._send
        )

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> "GrpcClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __getstate__(self) -> tuple[str, Access, float, Retry]:
        return self._begun

    def __setstate__(self, begun: tuple[str, Access, float, Retry]) -> None:
        self._begin(*begun)

    def _deadline(self, timeout_s: float | None = None) -> float:
        return time.monotonic() + calls.seconds_of(timeout_s, self._timeout_s)

    def _send(self, call: Call) -> Any:
        if self._closed:
            raise UsageError(f"this client of {self.address} is closed")
        timeout_s = None if math.isinf(call.timeout_s) else call.timeout_s
        try:
            return self._methods[call.method](call.request, timeout=timeout_s, metadata=self._metadata)
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


def _no_failure(response: Message) -> None:
    """A response that comes is a good one: errors are raised."""


def _infer_method(channel: grpc.Channel, name: str) -> Any:
    """A method of the Open Inference Protocol."""
    request = getattr(open_inference_pb2, f"{name}Request")
    response = getattr(open_inference_pb2, f"{name}Response")
    path = f"/inference.GRPCInferenceService/{name}"
    return channel.unary_unary(path, request.SerializeToString, response.FromString)


def _translated(error: Any, address: str, timeout_s: float) -> ServingError:
    code, details = error.code().name, error.details() or error.code().name
    if code == Unavailable.grpc_code:
        return Unavailable(f"cannot reach {connecting.way_of(address)}: {details}")
    if code == DeadlineExceeded.grpc_code:
        return DeadlineExceeded(f"{address} did not answer within {timeout_s:.2g} s")
    if code == Overloaded.grpc_code and _TOO_LARGE.search(details):
        return TooLarge(f"{address} takes no message of this size: {details}")
    return from_code(code, details)


def _name(spec: model_pb2.ModelSpec, model: str, selector: VersionSelector) -> model_pb2.ModelSpec:
    spec.name = model
    if isinstance(selector, str):
        spec.version_label = selector
    elif selector is not None:
        spec.version.value = selector
    return spec
