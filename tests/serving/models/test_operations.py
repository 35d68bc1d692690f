"""Operations that reach beyond a model, in SavedModels as people make them; and models that reach nothing."""

from pathlib import Path
from types import ModuleType

import pytest

from signet.serving.engine.loading import Loader
from signet.serving.errors import FailedPrecondition, UsageError
from signet.serving.models import completeness, operations
from signet.serving.models.operations import FILES, PYTHON, parse_names, reaching_out, refusal
from signet.training import keras_start
from tests.servers import GOLDEN_MODELS

REACHING = {
    "read_file": {"ReadFile"},
    "write_file": {"WriteFile"},
    "matching_files": {"MatchingFiles"},
    "in_a_loop": {"ReadFile"},
    "in_a_dataset": {"TFRecordDataset"},
    "in_lines": {"TextLineDataset"},
    "in_a_cache": {"CacheDatasetV2"},
    "in_python": {"PyFunc"},
    "in_eager_python": {"EagerPyFunc"},
    "printing_to_a_file": {"PrintV2"},
    "of_a_checkpoint": {"RestoreV2"},
    "that_ends_the_process": {"Abort"},
}
"""Function of reaching_models.py -> the operations that it reaches."""


@pytest.fixture(scope="module")
def reaching_models() -> ModuleType:
    """TensorFlow, which takes seconds to import, and functions for it."""
    keras_start.start()
    from tests.serving.models import reaching_models

    return reaching_models


@pytest.mark.parametrize("function", REACHING)
def test_what_a_signature_reaches_is_found(function, reaching_models):
    found = reaching_out(reaching_models.graph_of(function))
    assert {operation.name for operation in found} == REACHING[function]
    assert {operation.by for operation in found} == {"signature 'serving_default'"}


def test_what_is_set_to_touch_nothing_is_let_through(reaching_models):
    assert reaching_out(reaching_models.graph_of("in_memory")) == []


@pytest.fixture(scope="module")
def words(tmp_path_factory, reaching_models) -> Path:
    """FOLDER/good and FOLDER/writes, as TensorFlow 2 saves them."""
    folder = tmp_path_factory.mktemp("words")
    reaching_models.save_words(folder)
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


def test_graphs_of_tensorflow_1_are_walked_too(tmp_path, reaching_models):
    reaching_models.save_by_tensorflow_1(tmp_path)
    assert reaching_out(meta_graph(tmp_path / "saved")) == []


@pytest.mark.parametrize("version", sorted(GOLDEN_MODELS.glob("*/1")), ids=lambda path: path.parent.name)
def test_models_of_numbers_reach_nothing(version):
    assert reaching_out(meta_graph(version)) == []


def test_only_what_is_allowed_by_name_is_let_through(reaching_models):
    graphs = [reaching_models.graph_of(name) for name in ("in_python", "read_file")]
    reached = [operation for graph in graphs for operation in reaching_out(graph)]
    assert refusal(reached, parse_names("PyFunc, ReadFile")) == ""
    assert "--allow-ops ReadFile serves it" in refusal(reached, parse_names("PyFunc"))
    assert refusal([], ()) == ""
    with pytest.raises(
        UsageError, match=r"'Readfile' is no operation that has to be allowed \(did you mean 'ReadFile'"
    ):
        parse_names("Readfile")
    assert {operations.KINDS[name] for name in ("PyFunc", "EagerPyFunc", "PyFuncStateless")} == {PYTHON}
