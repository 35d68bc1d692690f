"""SavedModels for `test_operations.py`, which imports this file where it needs them: TensorFlow takes seconds."""

from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1
TEXT = tf.TensorSpec([None], tf.string, name="text")


def read_file(text: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(tf.io.read_file, text)


def write_file(text: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file("/tmp/never", text[0])]):
        return tf.identity(text)


def matching_files(text: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.size(text) > 100, lambda: tf.io.matching_files(text), lambda: text)


def in_a_loop(text: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda i, _: i < 1, lambda i, t: (i + 1, tf.reshape(tf.io.read_file(t[0]), [1])), [0, text])[1]


def in_a_dataset(text: tf.Tensor) -> tf.Tensor:
    return tf.data.TFRecordDataset(text).reduce(tf.constant(""), lambda _, record: record)[None]


def in_lines(text: tf.Tensor) -> tf.Tensor:
    lines = tf.data.Dataset.from_tensor_slices(text).flat_map(tf.data.TextLineDataset)
    return lines.reduce(tf.constant(""), lambda _, line: line)[None]


def in_a_cache(text: tf.Tensor) -> tf.Tensor:
    return tf.data.Dataset.from_tensor_slices(text).cache("/tmp/never").reduce(tf.constant(""), lambda _, t: t)[None]


def in_python(text: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda x: x, [text], tf.string), [None])


def in_eager_python(text: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.py_function(lambda x: x, [text], tf.string), [None])


def printing_to_a_file(text: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.print(text, output_stream="file:///tmp/never")]):
        return tf.identity(text)


def of_a_checkpoint(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.as_string(tf.raw_ops.RestoreV2(
        prefix=text[0], tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])[0])  # fmt: skip


def that_ends_the_process(text: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.raw_ops.Abort(error_msg="", exit_without_error=True)]):
        return tf.identity(text)


def in_memory(text: tf.Tensor) -> tf.Tensor:
    cached = tf.data.Dataset.from_tensor_slices(text).cache()
    with tf.control_dependencies([tf.print(text)]):
        return cached.reduce(tf.constant(""), lambda _, line: line)[None]


def graph_of(name: str) -> object:
    """The MetaGraphDef of a SavedModel whose signature is the function of that name, without saving one."""
    made = tf.function(globals()[name], input_signature=[TEXT]).get_concrete_function()
    with tf.Graph().as_default() as graph:
        text = v1.placeholder(tf.string, [None], name="text")
        answer = tf.identity(made(text), name="answer")
        signature = v1.saved_model.predict_signature_def({"text": text}, {"answer": answer})
    meta_graph = v1.MetaGraphDef()
    meta_graph.graph_def.CopyFrom(graph.as_graph_def())
    meta_graph.signature_def["serving_default"].CopyFrom(signature)
    return meta_graph


class Words(tf.Module):
    """A variable, a table filled from a file of its own, a table in the checkpoint; with a file it writes, if asked to."""

    def __init__(self, folder: Path, writes: bool) -> None:
        super().__init__()
        (folder / "words.txt").write_text("good\nbad\n")
        whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        file = tf.lookup.TextFileInitializer(str(folder / "words.txt"), tf.string, whole, tf.int64, line)
        self.table = tf.lookup.StaticHashTable(file, -1)
        self.counts = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        self.weight = tf.Variable(2.0)
        self.writes = writes

    @tf.function(input_signature=[TEXT])
    def number(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = tf.cast(self.table.lookup(text) + self.counts.lookup(text), tf.float32) * self.weight
        if self.writes:
            with tf.control_dependencies([tf.io.write_file("never", text[0])]):
                numbers = tf.identity(numbers)
        return {"number": numbers}


def save_words(folder: Path) -> None:
    """FOLDER/good and FOLDER/writes; the file that both have read is gone."""
    for name in ("good", "writes"):
        module = Words(folder, name == "writes")
        tf.saved_model.save(module, folder / name, signatures={"serving_default": module.number})
    (folder / "words.txt").unlink()


def save_by_tensorflow_1(folder: Path) -> None:
    """FOLDER/saved, with a table of FOLDER/words.txt."""
    (folder / "words.txt").write_text("a\n")
    with tf.Graph().as_default(), v1.Session() as session:
        text = v1.placeholder(tf.string, [None], name="text")
        file = tf.constant(str(folder / "words.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, file)
        index = tf.lookup.TextFileIndex
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(file, tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER), -1
        )
        weight = v1.get_variable("weight", initializer=[2.0], use_resource=False)
        answer = tf.cast(table.lookup(text), tf.float32) * weight
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(folder / "saved"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": v1.saved_model.predict_signature_def({"text": text}, {"answer": answer})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()
