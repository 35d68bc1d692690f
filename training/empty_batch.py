"""No rows in, no rows out, for graphs with convolutions.

TensorFlow 2.20 joins a convolution and its activation for the CPU, and what comes out of that for 0 rows has the shape
of what went in: the next layer fails ("input depth must be evenly divisible by filter depth"). So such graphs are given
one row of zeros instead of none, and its answer is cut off.
"""

import tensorflow as tf


def filled(*inputs: tf.Tensor) -> list[tf.Tensor]:
    """The inputs, with one row of zeros, or of empty texts, if they have none."""
    missing = tf.cast(tf.equal(tf.shape(inputs[0])[0], 0), tf.int32)
    return [_with_rows(rows, missing) for rows in inputs]


def _with_rows(rows: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    if rows.dtype != tf.string:
        return tf.pad(rows, [[0, count]] + [[0, 0]] * (len(rows.shape) - 1))
    empty = tf.zeros(tf.concat([[count], tf.shape(rows)[1:]], axis=0), tf.string)  # tf.pad takes no texts
    return tf.concat([rows, empty], axis=0)


def emptied(output: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The first of `output`'s rows: as many as `rows` has."""
    return output[: tf.shape(rows)[0]]
