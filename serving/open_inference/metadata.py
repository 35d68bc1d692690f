"""What the Open Inference Protocol tells of a server and its models: values for JSON, or for the messages by `to_message`.

server(version)                 {"name": "signet", "version": …, "extensions": […]}
model(name, versions, …)        {"name", "versions", "platform", "inputs": [{"name", "datatype", "shape"}], "outputs"}
config(name, signature, …)      the same as a model configuration has it
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from signet.serving.models.independence import Verdict
from signet.serving.open_inference.requests import can_travel, datatype
from signet.serving.tensors.signature import Signature, TensorSpec, internal

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
PLATFORM = "tensorflow_savedmodel"

M = TypeVar("M", bound=Message)


def server(version: str) -> dict[str, Any]:
    """The server itself."""
    return {"name": "signet", "version": version, "extensions": list(EXTENSIONS)}


def model(name: str, versions: Sequence[int], signature: Signature | None, signatures: Iterable[str]) -> dict[str, Any]:
    """One model: the tensors of one signature, and in its properties which others there are.

    Tensors of types that the protocol has no datatype for, such as complex numbers, are only named in the properties.
    Without a signature there are no tensors: the model has several, and the caller has to name one.
    """
    properties = {
        "signature_name": signature.name if signature else "",
        "signatures": ",".join(sorted(other for other in signatures if not internal(other))),
    }
    if untold := [spec.name for spec in _all(signature) if not can_travel(spec)]:
        properties["no_datatype"] = ",".join(untold)
    inputs, outputs = _tensors(signature)
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in inputs],
        "outputs": [_tensor(spec) for spec in outputs],
        "properties": properties,
    }


def config(name: str, signature: Signature | None, max_rows: int, joining: Verdict | None = None) -> dict[str, Any]:
    """One model's configuration, of the same tensors. max_rows: most rows that are joined into one call."""
    batched = signature is not None and signature.batched
    inputs, outputs = _tensors(signature)
    joined: dict[str, Any] = {"dynamic_batching": {}} if joining and joining.joined else {}
    if joining:
        joined["parameters"] = {"joining": {"string_value": joining.why}}
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": "tensorflow",
        "max_batch_size": max_rows if batched else 0,
        "default_model_filename": "saved_model.pb",
        "input": [_configured(spec, batched) for spec in inputs],
        "output": [_configured(spec, batched) for spec in outputs],
        **joined,
    }


def to_message(values: Mapping[str, Any], message: M) -> M:
    """The message, filled with such values; those that it has no field for are left out."""
    return json_format.ParseDict(dict(values), message, ignore_unknown_fields=True)


def _tensors(signature: Signature | None) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """The inputs and the outputs that can be told."""
    if signature is None:
        return [], []
    inputs, outputs = signature.inputs.values(), signature.outputs.values()
    return list(filter(can_travel, inputs)), list(filter(can_travel, outputs))


def _all(signature: Signature | None) -> list[TensorSpec]:
    return [*signature.inputs.values(), *signature.outputs.values()] if signature else []


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": datatype(spec.dtype, spec.name), "shape": _sizes(spec)}


def _configured(spec: TensorSpec, batched: bool) -> dict[str, Any]:
    name = datatype(spec.dtype, spec.name)
    sizes = _sizes(spec)
    return {
        "name": spec.name,
        "data_type": "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}",
        "dims": sizes[1:] if batched else sizes,
    }


def _sizes(spec: TensorSpec) -> list[int]:
    """The shape, -1 where any size will do; a tensor of any rank is one open dimension."""
    return [-1] if spec.shape is None else [-1 if size is None else size for size in spec.shape]
