"""A model server over gRPC, TensorFlow Serving or `signet model-server`: named arrays or lists in, named arrays out.

    with GrpcClient("localhost:8500") as client:
        client.predict("digits", {"pixels": images})            # {"digit": float32 (n, 10)}

    inputs ──to_arrays──▶ arrays that fit the signature ──build_predict──▶ PredictRequest
                                                outputs ◀──parse_predict── PredictResponse

Signatures are asked for once and again when another version answers. Errors are the classes of `serving/errors.py`.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import grpc

from clients import calls
from clients.calls import Known, Steps, Version, drive
from serving import tensors
from serving.errors import (
    CODE_NAMES,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    NotFound,
    ServingError,
    Unavailable,
    from_code,
)
from serving.model_status import State, VersionStatus
from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.signature import DEFAULT, INIT_OP, Signature, from_proto, nearest_hint, select
from serving.tensors import Arrays

DEFAULT_ADDRESS = "localhost:8500"
DEFAULT_TIMEOUT_S = 30.0

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # the 4 MiB default is the client's, not the server's
    ("grpc.max_send_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


@dataclass(frozen=True)
class Call:
    """A method of the server and what it is asked."""

    method: str
    request: Any
    timeout_s: float


# Pure: messages and what they say


def build_predict(
    model: str,
    arrays: Arrays,
    timeout_s: float,
    *,
    version: int | None = None,
    signature: str = DEFAULT,
    outputs: Collection[str] = (),
) -> Call:
    """A PredictRequest of arrays that were held against the signature. outputs: those to answer; empty: all."""
    request = predict_pb2.PredictRequest(output_filter=outputs)
    _name(request.model_spec, model, version).signature_name = signature
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(tensors.to_proto(array))
    return Call("Predict", request, timeout_s)


def parse_predict(response: Any) -> Arrays:
    """The outputs by name."""
    return {name: tensors.from_proto(tensor) for name, tensor in sorted(response.outputs.items())}


def build_metadata(model: str, version: int | None, timeout_s: float) -> Call:
    """The question for the signatures of a version; None: the one that calls without a version get."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    _name(request.model_spec, model, version)
    return Call("GetModelMetadata", request, timeout_s)


def parse_metadata(response: Any) -> Version:
    """The signatures, those that can be called."""
    packed = get_model_metadata_pb2.SignatureDefMap()
    if not response.metadata["signature_def"].Unpack(packed):
        raise Internal("the answer to GetModelMetadata holds no signatures")
    signatures = {name: from_proto(name, proto) for name, proto in packed.signature_def.items() if name != INIT_OP}
    return Version(response.model_spec.name, response.model_spec.version.value, signatures)


def build_status(model: str, timeout_s: float) -> Call:
    """The question for the states of a model's versions."""
    request = get_model_status_pb2.GetModelStatusRequest()
    _name(request.model_spec, model, None)
    return Call("GetModelStatus", request, timeout_s)


def parse_status(response: Any) -> list[VersionStatus]:
    """The versions as the server lists them; states that are not known are left out."""
    return [
        VersionStatus(
            status.version, State(status.state), CODE_NAMES[status.status.error_code], status.status.error_message
        )
        for status in response.model_version_status
        if status.state in set(State)
    ]


# What a call does, whoever sends


def _predicting(
    known: Known,
    model: str,
    version: int | None,
    signature: str,
    inputs: Mapping[str, Any],
    outputs: Collection[str],
    timeout_s: float,
) -> Steps[Arrays]:
    deadline = time.monotonic() + timeout_s
    describe = partial(_describing, timeout_s)
    expected, chosen, arrays = yield from calls.fitting(known, describe, model, version, signature, inputs)
    _check_outputs(outputs, chosen)
    left_s = max(0.001, deadline - time.monotonic())
    try:
        response = yield build_predict(model, arrays, left_s, version=version, signature=chosen.name, outputs=outputs)
    except (InvalidInput, FailedPrecondition):
        known.pop((model, version), None)  # it may be another version that answered
        raise
    if response.model_spec.version.value != expected.number:
        known.pop((model, version), None)
    return parse_predict(response)


def _describing(timeout_s: float, model: str, version: int | None) -> Steps[Version]:
    return parse_metadata((yield build_metadata(model, version, timeout_s)))


def _refreshing(known: Known, model: str, version: int | None, timeout_s: float) -> Steps[Version]:
    described = known[model, version] = yield from _describing(timeout_s, model, version)
    return described


def _asking_status(model: str, timeout_s: float) -> Steps[list[VersionStatus]]:
    return parse_status((yield build_status(model, timeout_s)))


def _asking_ready(model: str, timeout_s: float) -> Steps[str]:
    try:
        states = [status.state for status in (yield from _asking_status(model, timeout_s))]
    except NotFound as error:
        return str(error)
    if State.AVAILABLE in states:
        return ""
    return f"the versions of model {model!r} are {', '.join(state.name for state in states) or 'none'}"


# Sending


class GrpcClient:
    """Calls a model server. The connection is kept open; several threads may share one client."""

    def __init__(self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """address: HOST:PORT. timeout_s: for calls that do not say their own."""
        self.address = address
        self._timeout_s = timeout_s
        self._known: Known = {}
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._methods = {
            "Predict": prediction.Predict,
            "GetModelMetadata": prediction.GetModelMetadata,
            "GetModelStatus": models.GetModelStatus,
        }

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
    ) -> Arrays:
        """The outputs by name; strings as an array of dtype object that holds bytes.

        inputs: arrays or nested lists by name, with one row a first-axis element; those with a default may be left out.
        version: default the highest. signature: default `serving_default`. outputs: those wanted; default all.
        """
        within_s = self._timeout_s if timeout_s is None else timeout_s
        return drive(
            _predicting(self._known, model, version, signature or DEFAULT, inputs, outputs, within_s), self._send
        )

    def describe(self, model: str, *, version: int | None = None) -> Version:
        """The version that answers now, with all its signatures."""
        return drive(_refreshing(self._known, model, version, self._timeout_s), self._send)

    def signature(self, model: str, signature: str = DEFAULT, *, version: int | None = None) -> Signature:
        """Names, dtypes and shapes that the model takes and gives now."""
        return select(self.describe(model, version=version).signatures, signature, model)

    def status(self, model: str) -> list[VersionStatus]:
        """The states of the model's versions; raises `NotFound` for a model that the server does not have."""
        return drive(_asking_status(model, self._timeout_s), self._send)

    def wait_ready(self, model: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Return when a version of the model is available; raises `Unavailable` when that takes too long."""
        drive(calls.waiting(partial(_asking_ready, model), self.address, timeout_s), self._send)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> "GrpcClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _send(self, call: Call) -> Any:
        try:
            return self._methods[call.method](call.request, timeout=call.timeout_s)
        except grpc.RpcError as error:
            raise _translated(error, self.address, call.timeout_s) from error


def _check_outputs(outputs: Collection[str], signature: Signature) -> None:
    for name in outputs:
        if name not in signature.outputs:
            hint = nearest_hint(name, signature.outputs)
            known = ", ".join(map(repr, signature.outputs))
            raise InvalidInput(f"signature {signature.name!r} has no output {name!r}{hint}; it has {known}")


def _translated(error: Any, address: str, timeout_s: float) -> ServingError:
    code, details = error.code().name, error.details() or error.code().name
    if code == Unavailable.grpc_code:
        return Unavailable(f"cannot reach {address}: {details}")
    if code == DeadlineExceeded.grpc_code:
        return DeadlineExceeded(f"{address} did not answer within {timeout_s:g} s")
    return from_code(code, details)


def _name(spec: Any, model: str, version: int | None) -> Any:
    spec.name = model
    if version is not None:
        spec.version.value = version
    return spec
