"""PredictRequest ──▶ signature, named arrays, wanted outputs: what a Predict asks of a version.

Input defaults fill what is left out. Nothing is held against the signature's dtypes and shapes: TensorFlow itself
refuses what does not fit. Source: `predict_util.cc`.
"""

from collections.abc import Iterable

from signet.serving.errors import FailedPrecondition, InvalidInput, Unsupported
from signet.serving.grpc_dialect.example_inference import HasSignatures
from signet.serving.tensors.arrays import Array, Arrays, check_empty, from_proto
from signet.serving.tensors.protos import predict_pb2, tensor_pb2
from signet.serving.tensors.signature import DEFAULT, Signature


def signature_of(version: HasSignatures, request: predict_pb2.PredictRequest) -> Signature:
    """The signature that is asked for, `serving_default` for the empty name; `FailedPrecondition` when missing."""
    name = request.model_spec.signature_name or DEFAULT
    try:
        return version.signatures[name]
    except KeyError:
        raise FailedPrecondition(f'Serving signature key "{name}" not found.') from None


def inputs_of(request: predict_pb2.PredictRequest, signature: Signature) -> Arrays:
    """An array for each input of the signature. `InvalidInput` for names and tensors that do not fit."""
    tensors = request.inputs
    if len(tensors) == len(signature.inputs) and all(map(tensors.__contains__, signature.inputs)):
        return {alias: _array(tensors[alias], alias) for alias in signature.sorted_inputs}
    sent, wanted = set(tensors), set(signature.inputs)
    missing = sorted(wanted - sent - set(signature.defaults))
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not signature.defaults):
        raise InvalidInput(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({_listed(sent)}) != len({_listed(wanted)}). "
            f"Sent extra: {_listed(sent - wanted)}. Missing but required: {_listed(missing)}."
        )
    inputs = {alias: _input(request, signature, alias) for alias in signature.sorted_inputs}
    if sent - wanted:
        raise InvalidInput(f"Inputs contains invalid name. Used request inputs: {_listed(sent & wanted)}.")
    return inputs


def outputs_of(request: predict_pb2.PredictRequest, signature: Signature) -> tuple[str, ...]:
    """The names in the output filter; none means all. `InvalidInput` for unknown and repeated ones."""
    if not request.output_filter:
        return ()
    wanted: list[str] = []
    for alias in request.output_filter:
        if alias not in signature.outputs:
            raise InvalidInput(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_listed(signature.outputs)}."
            )
        if alias in wanted:
            raise InvalidInput(f"duplicate output tensor alias: {alias}")
        wanted.append(alias)
    return tuple(wanted)


def _input(request: predict_pb2.PredictRequest, signature: Signature, alias: str) -> Array:
    if alias not in request.inputs:
        if alias in signature.defaults:
            return signature.defaults[alias]
        raise InvalidInput(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].tensor}) "
            f"not found in request and no default value provided. Inputs expected to be in the request "
            f"{_listed(request.inputs)}, or default input alias set: {','.join(sorted(signature.defaults))}"
        )
    return _array(request.inputs[alias], alias)


def _array(tensor: tensor_pb2.TensorProto, alias: str) -> Array:
    try:
        array = from_proto(tensor)
        if not array.size:
            check_empty(array.shape, "")
        return array
    except (InvalidInput, Unsupported) as error:
        raise InvalidInput(f"tensor parsing error: {alias}") from error


def _listed(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
