"""Exports the models of the overload benchmark: `python -m tests.bench.overload.models FOLDER`.

    sleeping    x (n, 4) float32 -> y (n, 4)     a call takes some 12 ms, of which it waits for more than half without a core
    computing   x (n, 4) float32 -> y (n, 4)     some 0.4 ms of a core a call

This file imports TensorFlow: the benchmark runs it in a process of its own.
"""

import subprocess
import sys
from pathlib import Path

SLEEP_US = 3_000
"""Asked of the operation, which sleeps about twice as long."""
_WIDTH, _TIMES = 512, 50


def models(folder: Path) -> None:
    """Export the models into the folder, in a process of its own."""
    print("exporting the models of tests/bench/overload/models.py", file=sys.stderr)
    command = [sys.executable, "-m", "tests.bench.overload.models", folder]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def _export(folder: Path) -> None:
    import tensorflow as tf
    from tensorflow.python.data.experimental.ops.testing import sleep

    taken = [tf.TensorSpec([None, 4], tf.float32, name="x")]
    wide = tf.random.stateless_normal([_WIDTH, _WIDTH], [0, 0]) / _WIDTH**0.5  # a megabyte: it stays near the core
    ends = tf.random.stateless_normal([4, _WIDTH], [1, 0])

    plain = (
        tf.data.Options()
    )  # without them each call would optimise its pipeline anew, for some milliseconds of a core
    plain.experimental_optimization.apply_default_optimizations = False
    plain.autotune.enabled = False

    @tf.function(input_signature=taken)
    def sleeping(x: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.data.Dataset.from_tensors(x).apply(sleep(SLEEP_US)).with_options(plain)
        slept = rows.reduce(tf.zeros_like(x), tf.add)
        return {"y": tf.ensure_shape(slept, [None, 4])}

    @tf.function(input_signature=taken)
    def computing(x: tf.Tensor) -> dict[str, tf.Tensor]:
        hidden = x @ ends
        for _ in range(_TIMES):
            hidden = tf.tanh(hidden @ wide)
        return {"y": tf.matmul(hidden, ends, transpose_b=True)}

    for function in (sleeping, computing):
        module = tf.Module()
        module.function = function
        name = function.python_function.__name__
        tf.saved_model.save(module, str(folder / name / "1"), signatures={"serving_default": function})


if __name__ == "__main__":
    _export(Path(sys.argv[1]))
