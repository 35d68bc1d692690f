"""Large calls as the Open Inference Protocol has them with its binary tensors: the numbers go as they are in memory.

    arrays ──build──▶ {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [64, 64], …}], …} and their bytes
    outputs ◀──parse── the same of the outputs

Ten times cheaper than JSON for a thousand numbers, on both sides. A server that knows it says so at `/v2`.
"""

import math
from typing import Any

import orjson

from serving import open_inference_binary
from serving.errors import InvalidInput
from serving.open_inference import datatype
from serving.open_inference_body import HEADER
from serving.signature import Signature, TensorSpec
from serving.tensors import Arrays

EXTENSION = "binary_tensor_data"
_LARGE_BYTES = 1 << 14
_NOT_IN_JSON = frozenset(["half", "bfloat16", "uint16"])


def pays(arrays: Arrays, signature: Signature) -> bool:
    """Whether the numbers of a call and of its answer, as far as that is known, are many or none that JSON can carry."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    if any(spec.dtype is None or spec.dtype.numpy.kind == "c" for spec in specs):
        return False
    if any(spec.dtype is not None and spec.dtype.name in _NOT_IN_JSON for spec in specs):
        return True
    rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
    given = sum(array.nbytes for array in arrays.values() if array.dtype != object)
    return given + rows * sum(map(_row_bytes, signature.outputs.values())) >= _LARGE_BYTES


def build(arrays: Arrays, signature: Signature) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request."""
    blobs = [open_inference_binary.encode(array) for array in arrays.values()]
    inputs = [
        {
            "name": name,
            "datatype": datatype(signature.inputs[name].dtype, f"input {name!r}"),
            "shape": array.shape,
            "parameters": {"binary_data_size": len(blob)},
        }
        for (name, array), blob in zip(arrays.items(), blobs, strict=True)
    ]
    said = {"signature_name": signature.name, "binary_data_output": True}
    text = orjson.dumps({"parameters": said, "inputs": inputs})
    return b"".join([text, *blobs]), {HEADER: str(len(text)), "Content-Type": "application/octet-stream"}


def parse(body: bytes, json_bytes: int | None, signature: Signature) -> Arrays:
    """The outputs of an answer, by name. Raises ValueError for a body that is no answer to the signature."""
    at = len(body) if json_bytes is None else json_bytes
    outputs: list[dict[str, Any]] = orjson.loads(body[:at])["outputs"]
    by_name: Arrays = {}
    for output in outputs:
        spec = signature.outputs[output["name"]]
        size = output["parameters"]["binary_data_size"]
        shape = tuple(output["shape"])
        if spec.dtype is None or output["datatype"] != datatype(spec.dtype, f"output {spec.name!r}"):
            raise ValueError(f"output {spec.name!r} has datatype {output['datatype']}; the signature says {spec}")
        raw = memoryview(body)[at : at + size]
        at += size
        try:
            by_name[spec.name] = open_inference_binary.decode(raw, spec.dtype, shape, f"output {spec.name!r}")
        except InvalidInput as error:
            raise ValueError(str(error)) from error
    return {name: by_name[name] for name in signature.outputs}


def _row_bytes(spec: TensorSpec) -> int:
    if spec.dtype is None or spec.dtype.is_string or not spec.shape:
        return 0
    return math.prod(size or 1 for size in spec.shape[1:]) * spec.dtype.numpy.itemsize
