"""SavedModels of each make that people have, written by TensorFlow in a process of its own."""

from pathlib import Path

import pytest

from tests.made_models import made

_MAKES = '''
"""Writes FOLDER/keras/1, FOLDER/module/1 and FOLDER/tf1/1: each takes a (n, 2) float and w (n,) string."""
import sys
from pathlib import Path
import keras
import tensorflow as tf

folder = Path(sys.argv[1])


def make_keras():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    hidden = keras.layers.Dense(4, kernel_initializer="ones")(keras.layers.Concatenate()([a, b]))
    first = keras.layers.Dense(2, kernel_initializer="ones", name="first")(hidden)
    second = keras.layers.Dense(1, kernel_initializer="ones", name="second")(hidden)
    keras.Model({"a": a, "b": b}, {"first": first, "second": second}).export(folder / "keras" / "1", verbose=False)


class Module(tf.Module):
    def __init__(self):
        self.weights = tf.Variable([[1.0], [10.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "a"), tf.TensorSpec([None], tf.string, "w")])
    def both(self, a, w):
        return {"y": tf.matmul(a, self.weights), "upper": tf.strings.upper(w)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def negate(self, x=7):
        return {"y": -x}


def make_module():
    module = Module()
    tf.saved_model.save(module, str(folder / "module" / "1"), {"serving_default": module.both, "negate": module.negate})


def make_tf1():
    """As an Estimator exports: a graph with reference variables, a table from an asset file, placeholders."""
    tf1 = tf.compat.v1
    words = folder / "words.txt"
    words.write_text("red\\ngreen\\n")
    with tf1.Graph().as_default(), tf1.Session() as session:
        a = tf1.placeholder(tf.float32, [None, 2], "a")
        w = tf1.placeholder(tf.string, [None], "w")
        weights = tf1.get_variable("weights", initializer=[[1.0], [10.0]], use_resource=False)
        table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            1,
        )
        y = tf1.cond(tf.reduce_all(a > 0), lambda: tf.matmul(a, weights), lambda: tf.zeros_like(a[:, :1]))
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        tf1.saved_model.simple_save(
            session,
            str(folder / "tf1" / "1"),
            {"a": a, "w": w},
            {"y": y, "id": table.lookup(w)},
            legacy_init_op=tf1.tables_initializer(),
        )


for make in (make_keras, make_module, make_tf1):
    make()
(folder / "words.txt").unlink()
'''


@pytest.fixture(scope="session")
def makes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models `keras`, `module` and `tf1`."""
    return made(tmp_path_factory, _MAKES)
