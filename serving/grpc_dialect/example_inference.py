"""Classify, Regress and MultiInference: serialized tf.Examples in, classes with scores or values out.

    Input ──serialized──▶ (n,) strings ──▶ a signature's `inputs` ──run──▶ outputs ──▶ classifications, regressions

The functions here check signatures and shape results; running a call is the caller's. The method name of a signature is
not looked at: aliases and shapes decide. Source: `classifier.cc`, `regressor.cc`, `multi_inference.cc`, `util.cc`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from signet.serving.errors import Internal, InvalidInput, Unsupported
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.protos import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    meta_graph_pb2,
    regression_pb2,
    types_pb2,
)
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
PREDICT_METHODS = ("tensorflow/serving/predict", CLASSIFY, REGRESS)


class HasSignatures(Protocol):
    """A version of a model, as far as its signatures go."""

    @property
    def signatures(self) -> Mapping[str, Signature]: ...
    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The SignatureDef messages, for error messages."""


_INPUTS, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


def serialized(message: input_pb2.Input) -> Array:
    """The examples of an Input message, serialized: (n,) bytes. A context stands before each, as if merged into it."""
    if message.WhichOneof("kind") == "example_list_with_context":
        listed = message.example_list_with_context
        context = listed.context.SerializeToString()
        texts = [context + example.SerializeToString() for example in listed.examples]
    else:
        texts = [example.SerializeToString() for example in message.example_list.examples]
    return as_inputs(texts)


def as_inputs(texts: Sequence[bytes]) -> Array:
    """Serialized examples as an array. `InvalidInput` when there are none."""
    if not texts:
        raise InvalidInput("Input is empty.")
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def signature_of(version: HasSignatures, name: str) -> Signature:
    """The signature of that name, `serving_default` for the empty name."""
    signature = version.signatures.get(name or DEFAULT)
    if signature is None:
        raise InvalidInput(f"No signature was found with the name: {name or DEFAULT}")
    return signature


def wrong_method(signature: Signature) -> Internal:
    """The error for a Predict whose signature has a method that is none of Predict's, where that is checked."""
    methods = ", ".join(PREDICT_METHODS)
    return Internal(
        f"Expected prediction signature method_name to be one of {{{methods}}}. Was: {signature.method_name}"
    )


def task_names(tasks: Sequence[inference_pb2.InferenceTask]) -> list[str]:
    """The signatures that the tasks of MultiInference name. Raises `InvalidInput` for several models, or one twice."""
    if not all(task.model_spec.name for task in tasks):
        raise InvalidInput("Found ModelSpec with an empty model name.")
    if len({task.model_spec.name for task in tasks}) > 1:
        raise InvalidInput("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    names = [task.model_spec.signature_name or DEFAULT for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"Duplicate evaluation of signature: {name}")
    return names


def task_signature(version: HasSignatures, name: str) -> Signature:
    """The signature of a task of MultiInference."""
    if name not in version.signatures:
        raise InvalidInput(f"Requested signature not found in model graph: {name}")
    return version.signatures[name]


def classify_outputs(version: HasSignatures, signature: Signature) -> tuple[str, ...]:
    """What a Classify has to fetch: `classes`, `scores` or both. `InvalidInput` for a signature of another kind."""
    text = version.signature_defs[signature.name]
    if len(signature.inputs) != 1:
        raise InvalidInput("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise InvalidInput(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise InvalidInput(f"No classification inputs found in SignatureDef: {text}")
    names = tuple(name for name in (_CLASSES, _SCORES) if name in signature.outputs)
    if not names:
        raise InvalidInput(
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
            f"Signature was: {text}"
        )
    return names


def regress_outputs(version: HasSignatures, signature: Signature) -> tuple[str, ...]:
    """What a Regress has to fetch: `outputs`. `InvalidInput` for a signature of another kind."""
    if len(signature.inputs) != 1:
        raise InvalidInput("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise InvalidInput("Expected one output Tensor.")
    text = version.signature_defs[signature.name]
    if _INPUTS not in signature.inputs:
        raise InvalidInput(f"No regression inputs found in SignatureDef: {text}")
    if _OUTPUTS not in signature.outputs:
        raise InvalidInput(f"No regression outputs found in SignatureDef: {text}")
    return (_OUTPUTS,)


def task_outputs(version: HasSignatures, signature: Signature, method: str) -> tuple[str, ...]:
    """What a task of MultiInference has to fetch, by its method name."""
    if method == CLASSIFY:
        return classify_outputs(version, signature)
    if method == REGRESS:
        return regress_outputs(version, signature)
    raise Unsupported(f"Unsupported signature method_name: {method}")


def joint_signature(signatures: Sequence[Signature], fetched: Sequence[tuple[str, ...]]) -> Signature:
    """One signature for several tasks: each tensor to feed and each to fetch once, by its name in the graph.

    Exports of TensorFlow 2 have a tensor for the examples in each signature.
    """
    tensors = {
        signature.outputs[name].tensor: signature.outputs[name]
        for signature, names in zip(signatures, fetched, strict=True)
        for name in names
    }
    inputs = {signature.inputs[_INPUTS].tensor: signature.inputs[_INPUTS] for signature in signatures}
    return Signature(
        name="+".join(signature.name for signature in signatures),
        inputs=_by_tensor(inputs),
        outputs=_by_tensor(tensors),
    )


def _by_tensor(specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    return {tensor: TensorSpec(tensor, spec.dtype, spec.shape, tensor) for tensor, spec in sorted(specs.items())}


def classifications(outputs: Arrays, rows: int) -> classification_pb2.ClassificationResult:
    """ClassificationResult of `classes` (rows, k) strings and `scores` (rows, k) floats; one of them may be absent."""
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    for name, array, wanted in ((_CLASSES, classes, "DT_STRING"), (_SCORES, scores, "DT_FLOAT")):
        if array is None:
            continue
        if array.ndim != 2:
            raise InvalidInput(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
        if _dtype(array) != wanted:
            raise InvalidInput(f"Expected {name} Tensor of {wanted}. Got: {_dtype(array)}")
        if len(array) != rows:
            raise InvalidInput(f"Expected {name} output batch size of {rows}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        sizes = f"{classes.shape[1]} vs. {scores.shape[1]}"
        raise InvalidInput(f"Tensors class and score should match in dim_size(1). Got {sizes}")
    result = classification_pb2.ClassificationResult()
    known = classes if classes is not None else scores
    assert known is not None
    for i in range(rows):
        row = result.classifications.add()
        for k in range(known.shape[1]):
            entry = row.classes.add()
            if classes is not None:
                entry.label = _label(classes[i, k])
            if scores is not None:
                entry.score = scores[i, k]
    return result


def _label(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"The class {text[:80]!r} is not UTF-8, as a label must be; Predict gives bytes") from None


def regressions(outputs: Arrays, rows: int) -> regression_pb2.RegressionResult:
    """RegressionResult of `outputs`, floats of shape (rows,) or (rows, 1)."""
    values = outputs[_OUTPUTS]
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 1):
        raise InvalidInput(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(values)}"
        )
    if len(values) != rows:
        raise InvalidInput(f"Input batch size did not match output batch size: {rows} vs. {len(values)}")
    if _dtype(values) != "DT_FLOAT":
        raise InvalidInput(f"Expected output Tensor of DT_FLOAT.  Got: {_dtype(values)}")
    result = regression_pb2.RegressionResult()
    for value in values.reshape(-1).tolist():
        result.regressions.add(value=value)
    return result


def _shape(array: Array) -> str:
    """The shape as TensorFlow writes it: `[2,3]`."""
    return f"[{','.join(map(str, array.shape))}]"


def _dtype(array: Array) -> str:
    """The name that `types.proto` gives it: `DT_FLOAT`."""
    return types_pb2.DataType.Name(dtypes.from_numpy(array.dtype).enum)
