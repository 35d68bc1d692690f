"""What a model learns on, and how precisely: the same two options under TensorFlow and under JAX.

with precision(mixed=True), shared(distribute=True, batch_rows=64):
    build, compile, fit                  every device works on its share of each batch; weights are equal in all
"""

import contextlib
from collections.abc import Iterator

import keras

from signet.training.model import BadOption

MIXED = "mixed_bfloat16"
"""Computes in bfloat16, keeps weights in float32. Its range is float32's, so the loss needs no scaling."""


@contextlib.contextmanager
def precision(mixed: bool) -> Iterator[None]:
    """Layers that are built inside compute in bfloat16 if `mixed`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(MIXED if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def shared(distribute: bool, batch_rows: int) -> Iterator[None]:
    """Models that are built and fitted inside do so on all local devices if `distribute`. Raises BadOption."""
    if not distribute:
        yield
        return
    devices = local_devices()
    if batch_rows % len(devices):
        raise BadOption(f"--distribute: a batch of {batch_rows} rows cannot be shared out among {len(devices)} devices")
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        try:
            yield
        finally:
            keras.distribution.set_distribution(None)
    else:
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(devices).scope():
            yield


def local_devices() -> list[str]:
    """Names of the GPUs, or of the processors where there is none: 'GPU:0' under TensorFlow, 'gpu:0' under JAX."""
    if keras.backend.backend() == "jax":
        return list(keras.distribution.list_devices())
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]
