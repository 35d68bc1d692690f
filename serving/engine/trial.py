"""One request to a version before it goes live, when it carries none of its own: does it answer at all?

    golden.json's rows, else one row made up from the signature ──run──▶ an answer, or a complaint about the values: good
                                                                        no variable, table, file or kernel: not good

A SavedModel whose variables are missing loads without a word; it says so when it is called.
"""

import logging
import math
from pathlib import Path

import numpy as np

from signet.serving.engine.servable import Servable
from signet.serving.engine.tensorflow_c import RunOptions
from signet.serving.errors import DeadlineExceeded, ServingError
from signet.serving.models import example_rows
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec, internal

log = logging.getLogger(__name__)

_LIMIT_S = 60.0
"""Seconds that the answer may take; a slow model is no broken one."""

_LARGEST_BYTES = 64 << 20
"""Most bytes of a made-up input; larger ones are not tried."""

_TEXT = b"made-up"

_LACKING = frozenset({"FAILED_PRECONDITION", "NOT_FOUND", "UNIMPLEMENTED", "DATA_LOSS"})
"""Codes of TensorFlow for what a model needs and does not have; values are met with others."""

_NO_KERNEL = ("No OpKernel was registered", "Cannot assign a device", "Op type not registered", "No registered ")
"""Words in messages with other codes that mean the same."""


def try_out(servable: Servable, path: Path) -> None:
    """Raise the error of a version that cannot answer, whatever it is asked."""
    for signature, inputs in _golden(servable, path) or _made_up(servable):
        _run(servable, signature, inputs)


def lacks_something(error: ServingError) -> bool:
    """Whether an error of TensorFlow means that the model lacks what it needs, rather than that it minds the values."""
    text = str(error)
    if error.grpc_code == "NOT_FOUND" and _TEXT.decode() in text:  # a file that the made-up text should have named
        return False
    return error.grpc_code in _LACKING or any(words in text for words in _NO_KERNEL)


def made_up(signature: Signature) -> Arrays | None:
    """One row, with sizes of one where they are free: ones, and words. None for inputs that cannot be made up."""
    inputs = {}
    for name, spec in signature.inputs.items():
        array = _filled(spec)
        if array is None:
            return None
        inputs[name] = array
    return inputs


def _filled(spec: TensorSpec) -> Array | None:
    shape = (1,) if spec.shape is None else tuple(1 if size is None else size for size in spec.shape)
    if spec.dtype is None or math.prod(shape) * 8 > _LARGEST_BYTES:
        return None
    if spec.dtype.is_string:
        return np.full(shape, _TEXT, object)
    return np.ones(shape, spec.dtype.numpy)


def _made_up(servable: Servable) -> list[tuple[Signature, Arrays]]:
    """A row for one signature, and no other: another one might train the model. None where nothing can be made up."""
    names = [DEFAULT, *sorted(servable.signatures)]
    known = [servable.signatures[name] for name in names if name in servable.signatures and not internal(name)]
    chosen = known[0] if known else None
    inputs = made_up(chosen) if chosen else None
    if chosen is None or inputs is None:
        log.info("version %d of model %r has no signature that can be tried", servable.version, servable.name)
        return []
    return [(chosen, inputs)]


def _golden(servable: Servable, path: Path) -> list[tuple[Signature, Arrays]]:
    """The examples that the version carries and that its signatures take."""
    known = [signature for name, signature in sorted(servable.signatures.items()) if not internal(name)]
    return [(signature, inputs) for signature in known for inputs in example_rows.of(path, signature)]


def _run(servable: Servable, signature: Signature, inputs: Arrays) -> None:
    outputs = [name for name, spec in signature.outputs.items() if spec.dtype is not None]
    if not outputs:
        return
    try:
        servable.predict(signature, inputs, outputs, RunOptions(timeout_s=_LIMIT_S))
    except DeadlineExceeded:
        log.warning(
            "version %d of model %r: one row of %r was not answered within %g s",
            servable.version, servable.name, signature.name, _LIMIT_S,
        )  # fmt: skip
    except ServingError as error:
        if lacks_something(error):
            raise
        log.info("version %d of model %r answers, and minds made-up values: %s", servable.version, servable.name, error)
