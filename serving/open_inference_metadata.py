"""What the Open Inference Protocol tells of a server and its models: values for JSON, or for the messages by `to_message`.

server(version)                 {"name": "signet", "version": …, "extensions": […]}
model(name, versions, …)        {"name", "versions", "platform", "inputs": [{"name", "datatype", "shape"}], "outputs"}
config(name, signature, …)      the same as a model configuration has it
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from serving.open_inference import datatype
from serving.signature import INIT_OP, Signature, TensorSpec

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


def server(version: str) -> dict[str, Any]:
    """The server itself."""
    return {"name": "signet", "version": version, "extensions": list(EXTENSIONS)}


def model(name: str, versions: Sequence[int], signature: Signature, signatures: Iterable[str]) -> dict[str, Any]:
    """One model: the tensors of one signature, and in its properties which others there are."""
    others = sorted(other for other in signatures if other != INIT_OP)
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_tensor(spec, "input") for spec in signature.inputs.values()],
        "outputs": [_tensor(spec, "output") for spec in signature.outputs.values()],
        "properties": {"signature_name": signature.name, "signatures": ",".join(others)},
    }


def config(name: str, signature: Signature, max_rows: int) -> dict[str, Any]:
    """One model's configuration. max_rows: most rows that are joined into one call."""
    batched = signature.batched
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": "tensorflow",
        "max_batch_size": max_rows if batched else 0,
        "default_model_filename": "saved_model.pb",
        "input": [_configured(spec, "input", batched) for spec in signature.inputs.values()],
        "output": [_configured(spec, "output", batched) for spec in signature.outputs.values()],
    }


def to_message(values: Mapping[str, Any], message: Message) -> Any:
    """The message, filled with such values; those that it has no field for are left out."""
    return json_format.ParseDict(dict(values), message, ignore_unknown_fields=True)


def _tensor(spec: TensorSpec, kind: str) -> dict[str, Any]:
    return {"name": spec.name, "datatype": datatype(spec.dtype, f"{kind} {spec.name!r}"), "shape": _sizes(spec)}


def _configured(spec: TensorSpec, kind: str, batched: bool) -> dict[str, Any]:
    name = datatype(spec.dtype, f"{kind} {spec.name!r}")
    sizes = _sizes(spec)
    return {
        "name": spec.name,
        "data_type": "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}",
        "dims": sizes[1:] if batched else sizes,
    }


def _sizes(spec: TensorSpec) -> list[int]:
    """The shape, -1 where any size will do; a tensor of any rank is one open dimension."""
    return [-1] if spec.shape is None else [-1 if size is None else size for size in spec.shape]
