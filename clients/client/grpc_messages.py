"""What is sent over gRPC and what comes back, as messages: no connection is needed to build or to read them.

    arrays ──build_predict──▶ PredictRequest          PredictResponse ──parse_predict──▶ arrays

All but `RepositoryIndex` and `ServerReady` are TensorFlow Serving's own methods, so that its server answers them too.
"""

from collections.abc import Collection
from dataclasses import dataclass

from google.protobuf.message import Message

from signet.clients.client.calls import Version, VersionSelector
from signet.serving.errors import CODE_NAMES, Internal
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.open_inference import open_inference_pb2
from signet.serving.tensors.arrays import Arrays, from_proto, to_proto
from signet.serving.tensors.protos import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2
from signet.serving.tensors.signature import DEFAULT, from_signature_def, internal


@dataclass(frozen=True)
class Call:
    """A method of the server and what it is asked."""

    method: str
    request: Message
    timeout_s: float


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


def _name(spec: model_pb2.ModelSpec, model: str, selector: VersionSelector) -> model_pb2.ModelSpec:
    spec.name = model
    if isinstance(selector, str):
        spec.version_label = selector
    elif selector is not None:
        spec.version.value = selector
    return spec
