"""Operations that reach beyond a model, in SavedModels as people make them; and models that reach nothing."""

from pathlib import Path

import pytest
import tensorflow as tf

from signet.serving.engine.loading import Loader
from signet.serving.errors import FailedPrecondition, UsageError
from signet.serving.models import completeness, operations
from signet.serving.models.operations import FILES, PYTHON, parse_names, reaching_out, refusal
from tests.servers import GOLDEN_MODELS

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


REACHING = {
    read_file: {"ReadFile"},
    write_file: {"WriteFile"},
    matching_files: {"MatchingFiles"},
    in_a_loop: {"ReadFile"},
    in_a_dataset: {"TFRecordDataset"},
    in_lines: {"TextLineDataset"},
    in_a_cache: {"CacheDatasetV2"},
    in_python: {"PyFunc"},
    in_eager_python: {"EagerPyFunc"},
    printing_to_a_file: {"PrintV2"},
    of_a_checkpoint: {"RestoreV2"},
    that_ends_the_process: {"Abort"},
}


def in_memory(text: tf.Tensor) -> tf.Tensor:
    cached = tf.data.Dataset.from_tensor_slices(text).cache()
    with tf.control_dependencies([tf.print(text)]):
        return cached.reduce(tf.constant(""), lambda _, line: line)[None]


def graph_of(function: object) -> object:
    """The MetaGraphDef of a SavedModel with that signature, without saving one."""
    made = tf.function(function, input_signature=[TEXT]).get_concrete_function()
    with tf.Graph().as_default() as graph:
        text = v1.placeholder(tf.string, [None], name="text")
        answer = tf.identity(made(text), name="answer")
        signature = v1.saved_model.predict_signature_def({"text": text}, {"answer": answer})
    meta_graph = v1.MetaGraphDef()
    meta_graph.graph_def.CopyFrom(graph.as_graph_def())
    meta_graph.signature_def["serving_default"].CopyFrom(signature)
    return meta_graph


@pytest.mark.parametrize("function", REACHING, ids=lambda function: function.__name__)
def test_what_a_signature_reaches_is_found(function):
    found = reaching_out(graph_of(function))
    assert {operation.name for operation in found} == REACHING[function]
    assert {operation.by for operation in found} == {"signature 'serving_default'"}


def test_what_is_set_to_touch_nothing_is_let_through():
    assert reaching_out(graph_of(in_memory)) == []


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


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    """FOLDER/good and FOLDER/writes, as TensorFlow 2 saves them."""
    folder = tmp_path_factory.mktemp("words")
    for name in ("good", "writes"):
        module = Words(folder, name == "writes")
        tf.saved_model.save(module, folder / name, signatures={"serving_default": module.number})
    (folder / "words.txt").unlink()
    return folder


def meta_graph(version: Path) -> object:
    return completeness.read(version).meta_graphs[0]


def test_the_savers_own_operations_and_tables_of_own_assets_are_none(words):
    assert reaching_out(meta_graph(words / "good")) == []
    Loader(allowed_operations=frozenset(), trial=True)("m", 1, words / "good").close()


@pytest.mark.parametrize("filename", ["../../words.txt", "/etc/passwd"])
def test_an_asset_elsewhere_is_none_of_the_versions_own(words, filename):
    graph = meta_graph(words / "good")
    graph.asset_file_def[0].filename = filename
    (found,) = reaching_out(graph)
    assert (found.name, found.touches, found.by) == ("InitializeTableFromTextFileV2", FILES, "the initialisation")


def test_a_table_of_a_file_that_is_no_asset_is_refused(words):
    graph = meta_graph(words / "good")
    del graph.asset_file_def[:]
    assert [str(operation) for operation in reaching_out(graph)] == [
        "InitializeTableFromTextFileV2 (files; the initialisation)"
    ]


def test_a_version_is_refused_before_anything_of_it_runs_unless_it_is_allowed(words, caplog):
    with pytest.raises(
        FailedPrecondition, match=r"WriteFile \(files; signature 'serving_default'\).*--allow-ops Write"
    ):
        Loader(allowed_operations=frozenset())("m", 1, words / "writes")
    Loader(allowed_operations=frozenset({"WriteFile"}))("m", 1, words / "writes").close()
    Loader()("m", 1, words / "writes").close()  # as TensorFlow Serving
    assert "version 1 of model 'm' reaches operations that touch more than it: WriteFile" in caplog.text


def test_a_graph_in_chunks_cannot_hide_behind_another(words, tmp_path):
    (words / "good" / "saved_model.cpb").write_bytes(b"")
    try:
        with pytest.raises(FailedPrecondition, match="a graph in chunks, cannot be examined"):
            Loader(allowed_operations=frozenset())("m", 1, words / "good")
    finally:
        (words / "good" / "saved_model.cpb").unlink()


def test_graphs_of_tensorflow_1_are_walked_too(tmp_path):
    (tmp_path / "words.txt").write_text("a\n")
    with tf.Graph().as_default(), v1.Session() as session:
        text = v1.placeholder(tf.string, [None], name="text")
        file = tf.constant(str(tmp_path / "words.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, file)
        index = tf.lookup.TextFileIndex
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(file, tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER), -1
        )
        weight = v1.get_variable("weight", initializer=[2.0], use_resource=False)
        answer = tf.cast(table.lookup(text), tf.float32) * weight
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(tmp_path / "saved"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": v1.saved_model.predict_signature_def({"text": text}, {"answer": answer})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()
    assert reaching_out(meta_graph(tmp_path / "saved")) == []


@pytest.mark.parametrize("version", sorted(GOLDEN_MODELS.glob("*/1")), ids=lambda path: path.parent.name)
def test_models_of_numbers_reach_nothing(version):
    assert reaching_out(meta_graph(version)) == []


def test_only_what_is_allowed_by_name_is_let_through():
    reached = reaching_out(graph_of(in_python)) + reaching_out(graph_of(read_file))
    assert refusal(reached, parse_names("PyFunc, ReadFile")) == ""
    assert "--allow-ops ReadFile serves it" in refusal(reached, parse_names("PyFunc"))
    assert refusal([], ()) == ""
    with pytest.raises(
        UsageError, match=r"'Readfile' is no operation that has to be allowed \(did you mean 'ReadFile'"
    ):
        parse_names("Readfile")
    assert {operations.KINDS[name] for name in ("PyFunc", "EagerPyFunc", "PyFuncStateless")} == {PYTHON}
