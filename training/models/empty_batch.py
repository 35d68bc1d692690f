"""No rows in, no rows out, for graphs with convolutions.

TensorFlow 2.20 joins a convolution and its activation for the CPU, and what comes out of that for 0 rows has the shape
of what went in: the next layer fails ("input depth must be evenly divisible by filter depth"). So such graphs are given
one row of zeros instead of none, and its answer is cut off. The row is not added by `tf.pad`: that would be joined with
the convolution, too.
"""

import tensorflow as tf


def filled(*inputs: tf.Tensor) -> list[tf.Tensor]:
    """The inputs, with one row of zeros, or of empty texts, if they have none."""
    missing = tf.cast(tf.equal(tf.shape(inputs[0])[0], 0), tf.int32)
    return [_with_rows(rows, missing) for rows in inputs]


def _with_rows(rows: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    zeros = tf.zeros(tf.concat([[count], tf.shape(rows)[1:]], axis=0), rows.dtype)
    return tf.ensure_shape(tf.concat([rows, zeros], axis=0), rows.shape)


def emptied(output: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The first of `output`'s rows: as many as `rows` has."""
    return output[: tf.shape(rows)[0]]
