"""SavedModels for `test_trial.py`, which imports this file where it needs them: TensorFlow takes seconds."""

from pathlib import Path

import tensorflow as tf

NUMBERS = tf.TensorSpec([None, 3], tf.float32, name="x")


class Numbers(tf.Module):
    """Signatures that answer, that mind values, and that need a table which nobody has filled."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(2.0)
        self.trained = tf.Variable(0.0)
        self.never = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2], tf.int64, tf.int64), -1)

    @tf.function(input_signature=[NUMBERS])
    def scale(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * self.weight}

    @tf.function(input_signature=[NUMBERS])
    def train(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.trained.assign_add(tf.reduce_sum(x))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="picture")])
    def picture(self, picture: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.map_fn(lambda one: tf.shape(tf.io.decode_png(one)), picture, tf.int32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="word")])
    def word(self, word: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_less(word, tf.constant(0, tf.int64))]):
            return {"y": tf.identity(word)}


def save(folder: Path) -> None:
    """FOLDER/scale, FOLDER/picture and FOLDER/word: by default each has the signature of its name, and `a_train` besides."""
    module = Numbers()
    for name in ("scale", "picture", "word"):
        tf.saved_model.save(module, folder / name, {"serving_default": getattr(module, name), "a_train": module.train})
