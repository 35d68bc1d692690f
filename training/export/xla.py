"""`signet export --xla`: the network as machine code made by XLA, for sizes that are rounded up to a few.

    (3, 41) numbers ──padded──▶ (8, 64) ──XLA's code for (8, 64)──▶ (8, …) ──cut──▶ (3, …)

XLA makes code for each combination of sizes when it is first met, which takes about a second; so rows are rounded up to
one of ROWS, beyond them and in every free length to a power of two. Rounding up rows changes no answer; rounding up lengths
changes none if the model ignores padding, which verification shows.

It pays for recurrent networks. Two LSTMs (60 and 5 words), ms a call in the embedded engine on two shared cores: 0.62 → 0.16
for one row, 1.01 → 0.36 for 8, 1.43 → 0.72 for 32. Of 3,000 calls of 1 to 32 rows and 10 to 99 words the 9 that met a new
size took 0.4 s each, the others 0.8 ms instead of 1.3. Loading takes 1.3 s instead of 0.2. Convolutions gain nothing.

Signet's engine runs it. TensorFlow Serving does if it was started with --xla_cpu_compilation_enabled, and without it
refuses the version when it warms up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from signet.training.export.errors import ExportFailed

ROWS = (1, 8, 32)
LEAST_LENGTH = 16

LIMITS = (
    "Compiled by XLA: the first request of a size (rows rounded up to "
    f"{', '.join(map(str, ROWS))} or a power of two, lengths to a power of two from {LEAST_LENGTH} on) takes about a second.",
    "TensorFlow Serving runs it on processors only with --xla_cpu_compilation_enabled.",
)

Call = Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]]


def compiled(call: Call, inputs: Sequence[tf.TensorSpec]) -> Call:
    """Compile a call by XLA; the result is called alike. Raises ExportFailed for what it cannot do."""
    strings = [spec.name for spec in inputs if spec.dtype == tf.string]
    if strings:
        raise ExportFailed(f"--xla: XLA cannot compute with texts, such as input {strings[0]!r}")
    plain = tf.function(lambda *tensors: call(tensors), input_signature=list(inputs))
    shapes = plain.get_concrete_function().structured_outputs
    free = [name for name, answer in shapes.items() if None in answer.shape[1:]]
    if free:
        raise ExportFailed(
            f"--xla: output {free[0]!r} is as long as the input, which is rounded up; export it without --xla"
        )
    inner = tf.function(lambda *tensors: call(tensors), jit_compile=True)

    def rounded(tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = tf.shape(tensors[0])[0]
        answers = inner(*(_padded(tensor, spec) for tensor, spec in zip(tensors, inputs, strict=True)))
        return {name: _cut(answer, rows, inputs[0]) for name, answer in answers.items()}

    return rounded


def _padded(tensor: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    sizes = tf.shape(tensor)
    more = [
        [0, 0 if known is not None else (_length(sizes[axis]) if axis else _rows(sizes[0])) - sizes[axis]]
        for axis, known in enumerate(spec.shape)
    ]
    return tf.pad(tensor, more)


def _cut(answer: tf.Tensor, rows: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    if spec.shape[0] is not None or not answer.shape.rank:
        return answer
    cut = answer[:rows]
    return tf.ensure_shape(cut, [None, *answer.shape[1:]])


def _rows(count: tf.Tensor) -> tf.Tensor:
    rounded = _power_of_two(count)
    for size in reversed(ROWS):
        rounded = tf.where(count <= size, size, rounded)
    return rounded


def _length(size: tf.Tensor) -> tf.Tensor:
    return tf.maximum(_power_of_two(size), LEAST_LENGTH)


def _power_of_two(size: tf.Tensor) -> tf.Tensor:
    """Round up to a power of two: 1 -> 1, 5 -> 8, 64 -> 64."""
    powers = tf.constant([2**power for power in range(31)])
    return tf.gather(powers, tf.searchsorted(powers, [size])[0])
