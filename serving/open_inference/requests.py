"""The Open Inference Protocol (V2), whichever way it travels: requests -> named arrays -> answers.

    REST body    ──open_inference_body──────┐
                                            ├──▶ InferRequest ──decode──▶ arrays ──▶ … outputs ──answer──▶ OutputTensors
    gRPC message ──open_inference_messages──┘

A request gives each tensor a name, a datatype and a shape. What does not fit the signature raises `InvalidInput`, which
names the input, what the model takes and what came. Source: the protocol's text and Triton's extensions of it.
"""

import base64
import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast, get_args

import numpy as np

from signet.serving.errors import InvalidInput, Unsupported
from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.json_arrays.values import MAX_DEPTH, described, numeric, to_array, unbase64
from signet.serving.open_inference.binary import from_bytes
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import MAX_ELEMENTS, Array, Arrays, check_empty
from signet.serving.tensors.dtypes import DType
from signet.serving.tensors.signature import Signature, TensorSpec, shape_text

MAX_STRINGS = 1 << 20
"""Most strings of a tensor that is sent as bytes: they are cut out one by one, about 0.3 µs each."""
BASE64 = "base64"
"""Value of the parameter `content_type` of a tensor whose strings are bytes in base64."""

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "half": "FP16",
    "bfloat16": "BF16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
"""The names of dtypes -> the protocol's."""
_MICROSECONDS = 1e-6

T = TypeVar("T", int, str, bool)


class InputTensor(NamedTuple):
    """A tensor as it came: one of `values`, `raw` and `typed` holds its elements."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any = None
    """The elements in JSON: a flat list, or one nested like the shape; an array where `number_arrays` made one."""
    raw: memoryview | None = None
    """The bytes, as `binary.py` lays them out."""
    typed: Array | None = None
    """The elements in gRPC's typed contents: flat, of the datatype."""
    base64: bool = False
    """Whether the strings in `values` are bytes in base64."""


class RequestedOutput(NamedTuple):
    """An output that the caller wants, and in which form."""

    name: str
    binary: bool
    classes: int = 0
    """How many of the highest values are answered, as text, instead of all numbers; 0: all numbers."""
    base64: bool = False


class InferRequest(NamedTuple):
    """A request, read but not yet held against a signature."""

    inputs: Sequence[InputTensor]
    outputs: Sequence[RequestedOutput] = ()
    """Empty: all of them that can travel."""
    id: str = ""
    signature_name: str = ""
    """Empty: `serving_default`."""
    timeout_s: float | None = None
    binary: bool = False
    """Whether outputs are bytes where their own parameters say nothing."""
    non_finite: NonFinite = "string"
    whole_body: memoryview | None = None
    """The body in the raw form: one row of the only input, without a name and shape; `inputs` is empty then."""

    def without_inputs(self) -> "InferRequest":
        """What it asks for."""
        return self._replace(inputs=(), whole_body=None)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the requested outputs; none means all."""
        return tuple(output.name for output in self.outputs)


class Parameters(NamedTuple):
    """What `parameters` of a request say; those of other servers are passed over."""

    signature_name: str = ""
    timeout_s: float | None = None
    binary: bool = False
    non_finite: NonFinite = "string"


NO_PARAMETERS = Parameters()


class OutputTensor(NamedTuple):
    """A tensor of an answer, and the form it goes in."""

    name: str
    datatype: str
    array: Array
    binary: bool = False
    base64: bool = False


def datatype(dtype: DType | None, what: str) -> str:
    """The protocol's name of a dtype. Raises `Unsupported` for one that it has no name for."""
    name = DATATYPES.get(dtype.name) if dtype else None
    if name is None:
        shown = dtype.name if dtype else "a type that cannot be sent"
        raise Unsupported(f"{what} is {shown}; the Open Inference Protocol has no datatype for it")
    return name


def can_travel(spec: TensorSpec) -> bool:
    """Whether the protocol has a datatype for a tensor."""
    return spec.dtype is not None and spec.dtype.name in DATATYPES


def servable_outputs(signature: Signature) -> tuple[str, ...]:
    """The outputs that a request gets which names none: all that can travel; none means all."""
    names = [name for name, spec in signature.outputs.items() if can_travel(spec)]
    return () if len(names) == len(signature.outputs) else tuple(names)


def refuse_shared_memory(parameters: Container[str], where: str) -> None:
    """Raise `Unsupported` for a tensor that lies in shared memory, by the names of its parameters."""
    if "shared_memory_region" in parameters:
        raise Unsupported(f"{where}shared memory is not supported")


# Parameters


def parameters(values: Mapping[str, Any]) -> Parameters:
    """The parameters of a request by name: strings, numbers and booleans.

    `timeout` is in microseconds, 0 for none; `priority` is accepted and changes nothing. Raises `InvalidInput` for a
    value of the wrong kind, `Unsupported` for what needs a server that remembers earlier requests.
    """
    if not values:
        return NO_PARAMETERS
    if values.get("sequence_id") not in (None, 0, ""):
        raise Unsupported("'sequence_id' is set, but requests are not kept in sequences here")
    timeout = parameter(values, "timeout", int, 0)
    if timeout < 0:
        raise InvalidInput(f"parameter 'timeout' is {timeout}; expected microseconds, 0 for no limit")
    choice = parameter(values, "non_finite", str, "string")
    if choice not in get_args(NonFinite):
        known = ", ".join(map(repr, get_args(NonFinite)))
        raise InvalidInput(f"parameter 'non_finite' is {choice[:40]!r}; expected one of {known}")
    return Parameters(
        parameter(values, "signature_name", str, ""),
        timeout * _MICROSECONDS if timeout else None,
        parameter(values, "binary_data_output", bool, False),
        cast(NonFinite, choice),
    )


def parameter(values: Mapping[str, Any], name: str, kind: type[T], default: T, where: str = "") -> T:
    """One parameter, or the default when it is not there. Raises `InvalidInput` unless it is of that kind."""
    value = values.get(name, default)
    if type(value) is not kind:
        wanted = {int: "a whole number", str: "a string", bool: "true or false"}[kind]
        raise InvalidInput(f"{where}parameter {name!r} is {described(value)}; expected {wanted}")
    return value


def requested(name: str, values: Mapping[str, Any], binary: bool) -> RequestedOutput:
    """A requested output. values: its parameters. binary: what holds where they say nothing."""
    where = f"output {name[:100]!r}: "
    refuse_shared_memory(values, where)
    classes = parameter(values, "classification", int, 0, where)
    if classes < 0:
        raise InvalidInput(f"{where}parameter 'classification' is {classes}; expected a number of classes")
    binary = parameter(values, "binary_data", bool, binary, where)
    return RequestedOutput(name, binary, classes, is_base64(values, where))


def is_base64(values: Mapping[str, Any], where: str) -> bool:
    """Whether the parameters of a tensor say that its strings are bytes in base64."""
    return parameter(values, "content_type", str, "", where) == BASE64


def checked_shape(sizes: Sequence[Any], where: str) -> tuple[int, ...]:
    """A shape that came from outside, or `InvalidInput`."""
    if len(sizes) > MAX_DEPTH:
        raise InvalidInput(f"{where}shape has {len(sizes)} dimensions; the most are {MAX_DEPTH}")
    for size in sizes:
        if type(size) is not int or size < 0:
            raise InvalidInput(f"{where}shape has {described(size)}; expected whole numbers from 0")
    if math.prod(sizes) > MAX_ELEMENTS or max(sizes, default=0) > MAX_ELEMENTS:
        raise InvalidInput(f"{where}shape {list(sizes)} has more than {MAX_ELEMENTS} elements")
    check_empty(sizes, where)
    return tuple(sizes)


# Requests


def decode(request: InferRequest, signature: Signature) -> Arrays:
    """The arrays of a request, held against its signature: names, datatypes, shapes, numbers of elements and rows."""
    if request.whole_body is not None:
        return _only_row(request.whole_body, signature)
    tensors: dict[str, InputTensor] = {}
    for tensor in request.inputs:
        if tensor.name in tensors:
            raise InvalidInput(f"input {tensor.name[:100]!r} is there more than once")
        tensors[tensor.name] = tensor
    if tensors.keys() != signature.input_names:
        signature.check_names(tensors)
    arrays = {name: _array(spec, tensors[name]) for name, spec in signature.inputs.items()}
    signature.check_rows(arrays)
    return arrays


def _array(spec: TensorSpec, tensor: InputTensor) -> Array:
    where = f"input {spec.name!r}"
    expected = datatype(spec.dtype, where)
    assert spec.dtype is not None, "it has a datatype"
    if tensor.datatype != expected:
        problem = f"{where} has datatype {tensor.datatype[:40]!r}; the model takes {expected}"
        raise InvalidInput.text(spec.name, problem) if tensor.datatype == "BYTES" else InvalidInput(problem)
    fitted = spec.check_shape(tensor.shape)
    if tensor.raw is not None:
        if spec.dtype.is_string and math.prod(tensor.shape) > MAX_STRINGS:
            raise InvalidInput(f"{where} has more than {MAX_STRINGS} strings as bytes: send them in several requests")
        return from_bytes(tensor.raw, spec.dtype, tensor.shape, where).reshape(fitted)
    flat = _from_values(spec, spec.dtype, tensor) if tensor.typed is None else tensor.typed
    count = math.prod(tensor.shape)
    if flat.size != count:
        raise InvalidInput(f"{where} has {flat.size} elements; shape {list(tensor.shape)} needs {count}")
    return flat.reshape(fitted)


def _from_values(spec: TensorSpec, dtype: DType, tensor: InputTensor) -> Array:
    """The elements of a JSON list. Numbers take the fast way when nothing is doubtful."""
    values = tensor.values
    if not isinstance(values, list | np.ndarray):
        raise InvalidInput(f"input {spec.name!r}: 'data' is {described(values)}; expected a list")
    array = None if dtype.is_string else numeric(values, dtype, _has_booleans(values))
    if array is None:
        array = to_array(spec, dtype, values, words=True)
    if array.ndim > 1 and array.shape != tensor.shape:
        nested, said = list(array.shape), list(tensor.shape)
        raise InvalidInput(f"input {spec.name!r}: 'data' is nested as {nested}, but 'shape' says {said}")
    if tensor.base64:
        return _unbase64(array, spec)
    return array


def _has_booleans(values: Any) -> bool:
    if not isinstance(values, list):
        return isinstance(values, bool)  # an array of numbers has none
    kinds = set(map(type, values))  # told apart in C: there may be many
    return bool in kinds or list in kinds  # nests are looked through where they are made flat


def _unbase64(array: Array, spec: TensorSpec) -> Array:
    out = np.empty(array.size, object)
    for i, text in enumerate(array.reshape(-1).tolist()):
        try:
            out[i] = unbase64(text.decode())
        except ValueError as error:
            raise InvalidInput(f"input {spec.name!r}: element {i} is not base64: {text[:80]!r}") from error
    return out


def _only_row(body: memoryview, signature: Signature) -> Arrays:
    """The raw form: the body is one row of the only input; one dimension may be left open. A string is the whole body."""
    if len(signature.inputs) != 1:
        names = ", ".join(map(repr, signature.inputs))
        raise InvalidInput(f"a raw body fits one input; signature {signature.name!r} has {names}")
    spec = next(iter(signature.inputs.values()))
    where = f"input {spec.name!r}"
    datatype(spec.dtype, where)
    assert spec.dtype is not None, "it has a datatype"
    if spec.shape is None:
        raise InvalidInput(f"{where} is of any rank, which a raw body cannot tell")
    shape = [1, *spec.shape[1:]] if spec.batched else list(spec.shape)
    if spec.dtype.is_string:
        sizes = tuple(1 if size is None else size for size in shape)
        if math.prod(sizes) != 1:
            raise InvalidInput(f"{where} takes {shape_text(spec.shape)}; a raw body is one string")
        out = np.empty(sizes, object)
        out[...] = bytes(body)
        return {spec.name: out}
    if shape.count(None) > 1:
        raise InvalidInput(f"{where} takes {shape_text(spec.shape)}; a raw body leaves one dimension open at most")
    if None in shape:
        row_bytes = math.prod(size for size in shape if size is not None) * spec.dtype.numpy.itemsize
        shape[shape.index(None)] = len(body) // row_bytes if row_bytes else 0
    sizes = tuple(size or 0 for size in shape)
    return {spec.name: from_bytes(body, spec.dtype, sizes, where)}


# Answers


def answer(
    request: InferRequest, signature: Signature, outputs: Arrays, labels: Mapping[str, Sequence[str]]
) -> list[OutputTensor]:
    """The tensors of an answer, as the request wants them. outputs: those it wants at least.

    labels: names of the classes of an output, where they are known.
    """
    binary = request.binary
    asked = request.outputs or [
        RequestedOutput(name, binary) for name in servable_outputs(signature) or signature.outputs
    ]
    return [_output(output, outputs[output.name], signature.batched, labels.get(output.name, ())) for output in asked]


def _output(output: RequestedOutput, array: Array, batched: bool, labels: Sequence[str]) -> OutputTensor:
    where = f"output {output.name!r}"
    if output.classes:
        array = _classification(array, output.classes, labels, batched, where)
    name = datatype(dtypes.from_numpy(array.dtype), where)
    as_base64 = not output.binary and name == "BYTES" and (output.base64 or not _is_text(array))
    return OutputTensor(output.name, name, array, output.binary, as_base64)


def _classification(array: Array, count: int, labels: Sequence[str], batched: bool, where: str) -> Array:
    """The `count` highest values of each row as strings `value:index` or `value:index:label`, the highest first."""
    dtype = dtypes.from_numpy(array.dtype)
    if not (dtype.is_float or array.dtype.kind in "iu") or not array.ndim:
        raise InvalidInput(f"{where} has no classes: it is {dtype.name} {array.shape}")
    rows = array.reshape((len(array), math.prod(array.shape[1:])) if batched else (1, array.size))
    if rows.dtype.kind in "iu":  # the last of an ascending order, and of equal ones the first
        best = rows.shape[1] - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1]
    else:
        best = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")
    best = best[:, :count]
    out = np.empty(best.shape, object)
    for (row, place), index in zip(np.ndindex(best.shape), best.reshape(-1).tolist(), strict=True):
        label = f":{labels[index]}" if len(labels) == rows.shape[1] else ""
        out[row, place] = f"{rows[row, index]!s}:{index}{label}".encode()
    return out if batched else out[0]


def _is_text(array: Array) -> bool:
    try:
        for value in array.reshape(-1).tolist():
            value.decode()
    except UnicodeDecodeError:
        return False
    return True


def json_strings(array: Array, as_base64: bool) -> list[str]:
    """The strings of a tensor for JSON: as they are, or in base64."""
    flat = array.reshape(-1).tolist()
    return [base64.b64encode(value).decode() if as_base64 else value.decode() for value in flat]
