"""Bodies of the Open Inference Protocol's REST form: JSON, with or without tensors as bytes after it.

    {"id": "7", "inputs": [{"name": "pixels", "shape": [1, 64], "datatype": "FP32", "data": [0, …]}]}   ──parse──▶
    {"inputs": [{"name": …, "shape": …, "datatype": …, "parameters": {"binary_data_size": 256}}]} 256 bytes ──parse──▶
    ◀──encode── {"model_name": …, "model_version": "1", "id": "7", "outputs": [{"name", "shape", "datatype", "data"}]}

The header Inference-Header-Content-Length says how many bytes the JSON has; 0: the body is the only input's bytes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import number_arrays, parsing
from signet.serving.json_arrays.non_finite import NonFinite, text
from signet.serving.json_arrays.values import as_lists, described
from signet.serving.open_inference.binary import HEADER, to_bytes
from signet.serving.open_inference.requests import (
    BASE64,
    InferRequest,
    InputTensor,
    OutputTensor,
    Parameters,
    RequestedOutput,
    checked_shape,
    is_base64,
    json_strings,
    parameter,
    parameters,
    refuse_shared_memory,
    requested,
)


def json_bytes(header: str | None, body_bytes: int) -> int | None:
    """The number in the header: bytes of JSON at the start of the body; None when there is no header."""
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) < 20 and int(header) <= body_bytes):
        raise InvalidInput(f"{HEADER} is {header[:40]!r}; expected a number from 0 to {body_bytes}, the body's bytes")
    return int(header)


def parse(body: bytes, json_bytes: int | None = None, read: parsing.Read = number_arrays.loads) -> InferRequest:
    """Read a body. json_bytes: how many of its bytes are JSON; None: all, 0: none. Raises `InvalidInput`."""
    if json_bytes == 0:
        return InferRequest([], binary=True, whole_body=memoryview(body))
    head = body if json_bytes is None else body[:json_bytes]
    document = _loads(head, read)
    if not isinstance(document, dict):
        raise InvalidInput(f"the body is {described(document)}; expected an object with 'inputs'")
    said = parameters(_parameters(document, ""))
    request_id = document.get("id")
    request_id = "" if request_id is None else request_id
    if not isinstance(request_id, str):
        raise InvalidInput(f"'id' is {described(request_id)}; expected a string")
    return InferRequest(
        inputs=_inputs(document, None if json_bytes is None else memoryview(body)[json_bytes:]),
        outputs=[_output(value, i, said) for i, value in enumerate(_list(document, "outputs"))],
        id=request_id,
        signature_name=said.signature_name,
        timeout_s=said.timeout_s,
        binary=said.binary,
        non_finite=said.non_finite,
    )


def encode(
    model: str, version: str, request_id: str, tensors: Sequence[OutputTensor], non_finite: NonFinite
) -> tuple[bytes, int | None]:
    """An answer, and how many bytes of it are JSON; None when all are."""
    blobs: list[bytes] = []
    outputs = [_tensor(tensor, non_finite, blobs) for tensor in tensors]
    document: dict[str, Any] = {"model_name": model, "model_version": version}
    if request_id:
        document["id"] = request_id
    head = orjson.dumps({**document, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([head, *blobs]), len(head)) if blobs else (head, None)


# Reading


def _loads(text: bytes, read: parsing.Read) -> Any:
    """The JSON of a body, by the rules of the REST dialect, but that nothing may follow it."""
    try:
        return parsing.loads(text, read, trailing=False)
    except InvalidInput as error:
        raise InvalidInput(f"the body is not JSON: {str(error).removeprefix(parsing.PREFIX)}") from error


def _inputs(document: dict[str, Any], rest: memoryview | None) -> list[InputTensor]:
    """The inputs. rest: the bytes after the JSON; None when the header that tells their place is missing."""
    if "inputs" not in document:
        found = ", ".join(repr(name[:40]) for name in list(document)[:16]) or "nothing"
        raise InvalidInput(f"the body has no 'inputs', only {found}")
    taken = 0
    tensors = []
    for i, value in enumerate(_list(document, "inputs")):
        where, name, said = _named(value, "inputs", i)
        raw = None
        if "binary_data_size" in said:
            size = parameter(said, "binary_data_size", int, 0, where)
            raw = _cut(rest, taken, size, where)
            taken += size
        tensors.append(_input(value, name, said, raw, where))
    if rest is not None and taken != len(rest):
        raise InvalidInput(f"{len(rest)} bytes follow the JSON; the inputs' binary_data_size make {taken}")
    return tensors


def _cut(rest: memoryview | None, start: int, size: int, where: str) -> memoryview:
    if rest is None:
        raise InvalidInput(f"{where}'binary_data_size' needs the header {HEADER}: how many bytes are JSON")
    if not 0 <= size <= len(rest) - start:
        raise InvalidInput(f"{where}'binary_data_size' is {size}; {len(rest) - start} bytes are left after the JSON")
    return rest[start : start + size]


def _input(value: dict[str, Any], name: str, said: dict[str, Any], raw: memoryview | None, where: str) -> InputTensor:
    refuse_shared_memory(said, where)
    if ("data" in value) == (raw is not None):
        found = "both are there" if raw is not None else "neither is there"
        raise InvalidInput(f"{where}send either 'data' or the parameter 'binary_data_size': {found}")
    datatype = value.get("datatype")
    if not isinstance(datatype, str):
        raise InvalidInput(f"{where}'datatype' is {described(datatype)}; expected a string such as 'FP32'")
    sizes = as_lists(value.get("shape"))
    if not isinstance(sizes, list):
        raise InvalidInput(f"{where}'shape' is {described(sizes)}; expected a list of whole numbers")
    shape = checked_shape(sizes, where)
    return InputTensor(name, datatype, shape, value.get("data"), raw, base64=is_base64(said, where))


def _output(value: Any, i: int, said: Parameters) -> RequestedOutput:
    _, name, own = _named(value, "outputs", i)
    return requested(name, own, said.binary)


def _named(value: Any, key: str, i: int) -> tuple[str, str, dict[str, Any]]:
    """What messages call the i-th tensor of a list, its name and its parameters."""
    if not isinstance(value, dict):
        raise InvalidInput(f"'{key}'[{i}] is {described(value)}; expected an object with 'name'")
    name = value.get("name")
    if not isinstance(name, str):
        raise InvalidInput(f"'{key}'[{i}]: 'name' is {described(name)}; expected a string")
    where = f"{key[:-1]} {name[:100]!r}: "
    return where, name, _parameters(value, where)


def _parameters(value: dict[str, Any], where: str) -> dict[str, Any]:
    said = value.get("parameters")
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise InvalidInput(f"{where}'parameters' is {described(said)}; expected an object")
    return said


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInput(f"'{key}' is {described(value)}; expected a list of objects with 'name'")
    return value


# Writing


def _tensor(tensor: OutputTensor, non_finite: NonFinite, blobs: list[bytes]) -> dict[str, Any]:
    """One output for the JSON; what goes as bytes is put at the end of the blobs."""
    line: dict[str, Any] = {"name": tensor.name, "shape": tensor.array.shape, "datatype": tensor.datatype}
    if tensor.binary:
        blobs.append(to_bytes(tensor.array))
        return {**line, "parameters": {"binary_data_size": len(blobs[-1])}}
    if tensor.base64:
        line["parameters"] = {"content_type": BASE64}
    return {**line, "data": _data(tensor, non_finite)}


def _data(tensor: OutputTensor, non_finite: NonFinite) -> Any:
    """The elements as one flat list."""
    array = tensor.array
    if tensor.datatype == "BYTES":
        return json_strings(array, tensor.base64)
    if tensor.datatype == "BF16":
        array = array.astype(np.float32)
    flat = np.ascontiguousarray(array).reshape(-1)
    return text(flat, non_finite) if array.dtype.kind == "f" else flat
