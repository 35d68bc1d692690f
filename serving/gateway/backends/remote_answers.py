"""What model servers answer, read with suspicion: bytes in, `BadGateway` for all that is no answer to the question.

PredictResponse ──▶ outputs by name      GetModelMetadataResponse ──▶ signatures, version      GetModelStatusResponse ──▶ versions

Pure, and light to import: a worker process reads large ones (`serving/offload/pool.py`).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError

from signet.serving.errors import CODE_NAMES, BadGateway, InvalidInput
from signet.serving.grpc_dialect import predict_bytes
from signet.serving.grpc_dialect.messages import M, parse
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.tensors.arrays import Array, Arrays, from_proto
from signet.serving.tensors.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    meta_graph_pb2,
    predict_pb2,
    tensor_pb2,
)
from signet.serving.tensors.signature import Signature, TensorSpec, from_signature_def
from signet.serving.tensors.wire_format import Unusual

_STATES = frozenset(State)


def message(message_class: type[M], data: bytes) -> M:
    """The message that a model server's answer is. Raises `BadGateway`."""
    return parse(message_class, data, BadGateway, "the answer is no {message}")


def version_of(data: bytes) -> int:
    """The version that a GetModelMetadataResponse is about."""
    spec = message(get_model_metadata_pb2.GetModelMetadataResponse, data).model_spec
    if not spec.HasField("version"):
        raise BadGateway("the answer to a question for metadata names no version")
    return spec.version.value


def signatures_of(data: bytes) -> tuple[dict[str, meta_graph_pb2.SignatureDef], dict[str, Signature]]:
    """The SignatureDefs of a GetModelMetadataResponse by name, as messages and as signatures."""
    response = message(get_model_metadata_pb2.GetModelMetadataResponse, data)
    packed = get_model_metadata_pb2.SignatureDefMap()
    try:
        there = "signature_def" in response.metadata and response.metadata["signature_def"].Unpack(packed)
        if not there or not packed.signature_def:
            raise BadGateway("the answer to a question for metadata has no signatures")
        defs = dict(packed.signature_def)
        return defs, {name: from_signature_def(name, proto) for name, proto in defs.items()}
    except (DecodeError, InvalidInput) as error:
        raise BadGateway(f"the signatures in the answer cannot be read: {error}") from error


def outputs_of(signature: Signature, names: Sequence[str], rows: int | None, data: bytes) -> Arrays:
    """The outputs of a PredictResponse, which have the dtype and the shape that the signature says.

    rows: how many each output has, where it is known that they are as many as those of the inputs.
    """
    tensors = _tensors(data)
    outputs = {name: _output(signature.outputs[name], tensors) for name in names}
    for name, array in outputs.items():
        if rows is not None and len(array) != rows:
            raise BadGateway(f"output {name!r} has {len(array)} rows for {rows} rows of the inputs")
    return outputs


class _Tensor(Protocol):
    """A tensor that has not been read yet."""

    @property
    def dtype_enum(self) -> int: ...
    def array(self) -> Array: ...


class _Message(NamedTuple):
    """A tensor in the library's form."""

    proto: tensor_pb2.TensorProto

    @property
    def dtype_enum(self) -> int:
        return self.proto.dtype

    def array(self) -> Array:
        return from_proto(self.proto)


def _tensors(data: bytes) -> Mapping[str, _Tensor]:
    try:
        return predict_bytes.outputs(data)
    except Unusual:
        response = message(predict_pb2.PredictResponse, data)
        return {name: _Message(proto) for name, proto in response.outputs.items()}


def _output(spec: TensorSpec, tensors: Mapping[str, _Tensor]) -> Array:
    tensor = tensors.get(spec.name)
    if tensor is None:
        listed = ", ".join(repr(name[:100]) for name in sorted(tensors)[:8]) or "none"
        raise BadGateway(f"the answer lacks output {spec.name!r}; its outputs: {listed}")
    if spec.dtype is not None and tensor.dtype_enum != spec.dtype.enum:
        raise BadGateway(f"output {spec.name!r} has type number {tensor.dtype_enum}; the signature says {spec}")
    try:
        array = tensor.array()
    except InvalidInput as error:
        raise BadGateway(f"output {spec.name!r} is no tensor: {error}") from error
    if not spec.fits(array.shape):
        raise BadGateway(f"output {spec.name!r} has shape {array.shape}; the signature says {spec}")
    return array


def statuses_of(data: bytes) -> list[VersionStatus]:
    """The versions that a GetModelStatusResponse names."""
    entries = message(get_model_status_pb2.GetModelStatusResponse, data).model_version_status
    if not entries:
        raise BadGateway("the answer names no version; a model server says NOT_FOUND then")
    return [_from_proto(entry) for entry in entries if entry.state in _STATES]


def _from_proto(entry: get_model_status_pb2.ModelVersionStatus) -> VersionStatus:
    code = entry.status.error_code
    if not (0 <= code < len(CODE_NAMES) and entry.version >= 0):
        raise BadGateway(f"the answer has version {entry.version} with code {code}")
    return VersionStatus(entry.version, State(entry.state), CODE_NAMES[code], entry.status.error_message)
