"""Messages of the Open Inference Protocol's gRPC form (`open_inference.proto`).

    ModelInferRequest  ──parse──▶ InferRequest
    ModelInferResponse ◀──encode── OutputTensors

Tensors travel all as bytes (`raw_…_contents`, in the order of the tensors) or all in typed fields; the answer does as
the request did. 16-bit floats have no typed field: an answer with one is all bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from signet.serving.errors import InvalidInput
from signet.serving.open_inference import open_inference_pb2
from signet.serving.open_inference.binary import to_bytes
from signet.serving.open_inference.requests import (
    InferRequest,
    InputTensor,
    OutputTensor,
    checked_shape,
    parameters,
    refuse_shared_memory,
    requested,
)
from signet.serving.tensors import packed
from signet.serving.tensors.arrays import Array

_FIELDS = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int8),
    "INT16": ("int_contents", np.int16),
    "INT32": ("int_contents", np.int32),
    "INT64": ("int64_contents", np.int64),
    "UINT8": ("uint_contents", np.uint8),
    "UINT16": ("uint_contents", np.uint16),
    "UINT32": ("uint_contents", np.uint32),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
    "BYTES": ("bytes_contents", np.object_),
}
"""Where the elements of a datatype travel, and what they are."""
_CONTENTS = open_inference_pb2.InferTensorContents.DESCRIPTOR


def parse(message: open_inference_pb2.ModelInferRequest) -> InferRequest:
    """Read a ModelInferRequest. Raises `InvalidInput`."""
    raw = message.raw_input_contents
    for tensor in message.inputs:
        refuse_shared_memory(tensor.parameters, f"input {tensor.name[:100]!r}: ")
    if raw and len(raw) != len(message.inputs):
        raise InvalidInput(f"raw_input_contents has {len(raw)} entries for {len(message.inputs)} inputs: all or none")
    said = parameters(_values(message.parameters))
    binary = said.binary or bool(raw)
    return InferRequest(
        inputs=[_input(tensor, raw[i] if raw else None) for i, tensor in enumerate(message.inputs)],
        outputs=[requested(output.name, _values(output.parameters), binary) for output in message.outputs],
        id=message.id,
        signature_name=said.signature_name,
        timeout_s=said.timeout_s,
        binary=binary,
    )


def encode(
    model: str, version: str, request_id: str, tensors: Sequence[OutputTensor]
) -> open_inference_pb2.ModelInferResponse:
    """A ModelInferResponse."""
    response = open_inference_pb2.ModelInferResponse(model_name=model, model_version=version, id=request_id)
    raw = any(tensor.binary or tensor.datatype not in _FIELDS for tensor in tensors)
    for tensor in tensors:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        if raw:
            response.raw_output_contents.append(to_bytes(tensor.array))
        else:
            field, _ = _FIELDS[tensor.datatype]
            if tensor.array.size >= packed.LEAST_NUMBERS and packed.is_packed(_CONTENTS, field):
                packed.write(output.contents, field, tensor.array)
            else:
                getattr(output.contents, field).extend(tensor.array.reshape(-1).tolist())
    return response


def _input(tensor: open_inference_pb2.ModelInferRequest.InferInputTensor, raw: bytes | None) -> InputTensor:
    where = f"input {tensor.name[:100]!r}: "
    shape = checked_shape(list(tensor.shape), where)
    if raw is None:
        return InputTensor(tensor.name, tensor.datatype, shape, typed=_typed(tensor, where))
    if tensor.HasField("contents"):
        raise InvalidInput(f"{where}send either 'contents' or 'raw_input_contents': both are there")
    return InputTensor(tensor.name, tensor.datatype, shape, raw=memoryview(raw))


def _typed(tensor: open_inference_pb2.ModelInferRequest.InferInputTensor, where: str) -> Array:
    """The elements in the field of the datatype, flat."""
    if tensor.datatype not in _FIELDS:
        raise InvalidInput(f"{where}datatype {tensor.datatype[:40]!r} has no typed contents: use raw_input_contents")
    field, dtype = _FIELDS[tensor.datatype]
    for other, _ in tensor.contents.ListFields():
        if other.name != field:
            raise InvalidInput(f"{where}{tensor.datatype} travels in {field}, not in {other.name}")
    values = getattr(tensor.contents, field)
    if field == "bytes_contents":
        strings = np.empty(len(values), object)
        strings[:] = list(values)
        return strings
    if len(values) >= packed.LEAST_NUMBERS and packed.is_packed(_CONTENTS, field):
        return packed.read(tensor.contents, field)
    if field not in ("int_contents", "uint_contents"):
        return np.array(values, dtype)
    wide = np.array(values, np.int64)
    limits = np.iinfo(dtype)
    if wide.size and not (limits.min <= wide.min() and wide.max() <= limits.max):
        raise InvalidInput(f"{where}{tensor.datatype} goes from {limits.min} to {limits.max}")
    return wide.astype(dtype)


def _values(parameters: Mapping[str, open_inference_pb2.InferParameter]) -> dict[str, Any]:
    """Parameters as plain values; those without a value are left out."""
    chosen = {name: (value, value.WhichOneof("parameter_choice")) for name, value in parameters.items()}
    return {name: getattr(value, choice) for name, (value, choice) in chosen.items() if choice}
