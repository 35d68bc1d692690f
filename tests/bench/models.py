"""Exports models of the notebook's sizes with random weights, to be timed: `python -m tests.bench.models FOLDER [NAME…]`.

    digits              pixels (n, 64) float32                      64 -> 32 -> 32 -> 10
    question_answering  text (n, 64), question (n, 16) int32        two LSTMs, vocabularies of 10,000, 500 answers
    social_posts        posts (n, 500) int32                        the notebook's Conv1D stack on 50,000 x 256
    image               image (n, 128, 128, 3) float32              Conv 8/16/32, 3x3, stride 2 -> pool -> 10

This file imports TensorFlow: the benchmark runs it in a process of its own.
"""

import sys
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers


def digits() -> keras.Model:
    pixels = keras.Input((64,), name="pixels")
    x = layers.Dense(32, activation="relu")(pixels)
    x = layers.Dense(32, activation="relu")(x)
    return keras.Model([pixels], {"digit": layers.Dense(10, activation="softmax")(x)})


def question_answering() -> keras.Model:
    text = keras.Input((None,), dtype="int32", name="text")
    question = keras.Input((None,), dtype="int32", name="question")
    encoded_text = layers.LSTM(32)(layers.Embedding(10_000, 64)(text))
    encoded_question = layers.LSTM(16)(layers.Embedding(10_000, 32)(question))
    merged = layers.concatenate([encoded_text, encoded_question])
    return keras.Model([text, question], {"answer": layers.Dense(500, activation="softmax")(merged)})


def social_posts() -> keras.Model:
    posts = keras.Input((500,), dtype="int32", name="posts")
    x = layers.Embedding(50_000, 256)(posts)
    x = layers.MaxPooling1D(5)(layers.Conv1D(128, 5, activation="relu")(x))
    x = layers.Conv1D(256, 5, activation="relu")(x)
    x = layers.MaxPooling1D(5)(layers.Conv1D(256, 5, activation="relu")(x))
    x = layers.Conv1D(256, 5, activation="relu")(x)
    x = layers.GlobalMaxPooling1D()(layers.Conv1D(256, 5, activation="relu")(x))
    x = layers.Dense(128, activation="relu")(x)
    outputs = {
        "age": layers.Dense(1)(x),
        "income": layers.Dense(10, activation="softmax")(x),
        "gender": layers.Dense(1, activation="sigmoid")(x),
    }
    return keras.Model([posts], outputs)


def image() -> keras.Model:
    picture = keras.Input((128, 128, 3), name="image")
    x = picture
    for filters in (8, 16, 32):
        x = layers.Conv2D(filters, 3, strides=2, activation="relu")(x)
    return keras.Model([picture], {"label": layers.Dense(10)(layers.GlobalAveragePooling2D()(x))})


MODELS = (digits, question_answering, social_posts, image)


def export(model: keras.Model, path: Path) -> None:
    """A SavedModel with the model's input names, its dict of outputs and a free batch dimension."""
    names = [tensor.name for tensor in model.inputs]
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.inputs]

    @tf.function(input_signature=specs)
    def serving_default(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return model(list(tensors) if len(names) > 1 else tensors[0], training=False)

    module = tf.Module()
    module.variables_of_the_model = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(path), signatures={"serving_default": serving_default})


def main(folder: Path, names: list[str]) -> None:
    for build in MODELS:
        if names and build.__name__ not in names:
            continue
        keras.utils.set_random_seed(0)
        target = folder / build.__name__ / "1"
        aside = folder / build.__name__ / ".writing"
        if target.exists():
            continue
        export(build(), aside)
        aside.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
