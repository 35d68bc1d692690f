"""Predict's messages as bytes, without building them: what a gateway asks of model servers, and what they answer.

    model, version, signature ─┐ kept              bytes ──outputs──▶ RawTensors by name ──array──▶ named arrays
    named arrays ──request─────┴▶ bytes

Exact, as `tensor_bytes` is: answers in another form than the usual one raise `Unusual`, and are for protobuf's library.
"""

from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.message import DecodeError

from signet.serving.tensors import tensor_bytes
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import model_pb2, predict_pb2
from signet.serving.tensors.tensor_bytes import Part, RawTensor
from signet.serving.tensors.wire_format import DELIMITED, Unusual, delimited, read_length, tag, varint

_INPUTS, _OUTPUT_FILTER, _KEY, _VALUE = 2, 3, 1, 2
"""Numbers of fields: of PredictRequest, and of the entry of a map."""
_OUTPUTS_TAG, _SPEC_TAG, _KEY_TAG, _VALUE_TAG = 0x0A, 0x12, 0x0A, 0x12


def request(model: str, version: int, signature: str, inputs: Arrays, outputs: Sequence[str] = ()) -> bytes:
    """A PredictRequest. outputs: the output filter; none means all."""
    pieces: list[Part] = [_spec(model, version, signature)]
    for name, array in inputs.items():
        size, tensor = tensor_bytes.parts(array)
        pieces.append(_entry(name, size))
        pieces += tensor
    if outputs:
        pieces += [delimited(_OUTPUT_FILTER, name.encode()) for name in outputs]
    return b"".join(pieces)


@lru_cache(maxsize=256)
def _spec(model: str, version: int, signature: str) -> bytes:
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = model, signature
    message.model_spec.version.value = version
    return message.SerializeToString()


@lru_cache(maxsize=512)
def _entry(name: str, size: int) -> bytes:
    """What stands before the tensor of that size, which is the named input."""
    head = delimited(_KEY, name.encode()) + tag(_VALUE, DELIMITED) + varint(size)
    return tag(_INPUTS, DELIMITED) + varint(len(head) + size) + head


def outputs(data: bytes) -> dict[str, RawTensor]:
    """The outputs of a PredictResponse. Raises `Unusual`."""
    try:
        return _outputs(data)
    except (IndexError, UnicodeDecodeError):
        raise Unusual from None


def _outputs(data: bytes) -> dict[str, RawTensor]:
    tensors: dict[str, RawTensor] = {}
    at, end = 0, len(data)
    while at < end:
        byte = data[at]
        start, at = read_length(data, at + 1, end)
        if byte == _OUTPUTS_TAG:
            if data[start] != _KEY_TAG:
                raise Unusual
            start, value = read_length(data, start + 1, at)
            name = data[start:value].decode()
            if name in tensors or data[value] != _VALUE_TAG:
                raise Unusual
            start, stop = read_length(data, value + 1, at)
            if stop != at:
                raise Unusual
            tensors[name] = tensor_bytes.read(data, start, stop)
        elif byte != _SPEC_TAG or not _is_spec(data[start:at]):
            raise Unusual
    return tensors


@lru_cache(maxsize=64)
def _is_spec(data: bytes) -> bool:
    """Whether the bytes are a ModelSpec: a server sends the same with each answer."""
    try:
        model_pb2.ModelSpec.FromString(data)
    except DecodeError:
        return False
    return True
