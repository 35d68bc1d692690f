"""Whether a version on disk is whole: every file that its own files imply is there, and as long as they say.

    saved_model.pb            can be parsed ──▶ assets/…, and variables/variables.index where variables are restored
    variables/variables.index can be parsed ──▶ variables/variables.data-I-of-N, each with its length

TensorFlow itself loads a SavedModel without variables.index, and says only when it is called that there are no variables.
"""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from signet.serving.models import tensor_bundle
from signet.serving.tensors.protos import meta_graph_pb2, saved_model_pb2

_GRAPH = "saved_model.pb"
_TEXT_GRAPH = "saved_model.pbtxt"
_VARIABLES = "variables/variables"

_RESTORED = frozenset(
    {
        "VarHandleOp",
        "Variable",
        "VariableV2",
        "MutableHashTable",
        "MutableHashTableV2",
        "MutableHashTableOfTensors",
        "MutableHashTableOfTensorsV2",
        "MutableDenseHashTable",
        "MutableDenseHashTableV2",
    }
)
"""Operations whose content a checkpoint carries."""


def missing(version: Path) -> str:
    """What the version at this path still lacks, as a sentence; empty when it is whole. Raises `OSError`."""
    if not (version / _GRAPH).is_file() and not (version / _TEXT_GRAPH).is_file():
        return f"{_GRAPH} is not there"
    try:
        saved_model = _parsed(version)
    except (DecodeError, text_format.ParseError):
        return f"{_GRAPH} cannot be read: it is cut off, or no SavedModel"
    if not saved_model.meta_graphs:
        return f"{_GRAPH} holds no graph"
    for name in sorted({name for meta_graph in saved_model.meta_graphs for name in asset_names(meta_graph)}):
        if not (version / "assets" / name).exists():
            return f"assets/{name} is not there"
    return _missing_variables(version, any(_restores(meta_graph) for meta_graph in saved_model.meta_graphs))


def read(version: Path) -> saved_model_pb2.SavedModel:
    """The SavedModel message of a version; one without graphs when there is none that can be read."""
    try:
        return _parsed(version)
    except (OSError, DecodeError, text_format.ParseError, UnicodeDecodeError):
        return saved_model_pb2.SavedModel()


def _parsed(version: Path) -> saved_model_pb2.SavedModel:
    graph = version / _GRAPH
    if graph.is_file():
        return saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    if not (version / _TEXT_GRAPH).is_file():
        raise FileNotFoundError(f"{graph} is not there")
    return text_format.Parse((version / _TEXT_GRAPH).read_text(), saved_model_pb2.SavedModel())


def missing_index(version: Path, meta_graph: meta_graph_pb2.MetaGraphDef) -> str:
    """The one thing that TensorFlow does not miss by itself: variables.index, of a graph that restores variables."""
    return _no_index() if _restores(meta_graph) and not (version / f"{_VARIABLES}.index").is_file() else ""


def asset_names(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """The files below `assets` that the graph names, as a SavedModel of TensorFlow 2 or 1 has them."""
    for definition in asset_files(meta_graph):
        yield definition.filename


def asset_files(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[meta_graph_pb2.AssetFileDef]:
    """The AssetFileDef messages of a MetaGraphDef."""
    yield from meta_graph.asset_file_def
    for packed in meta_graph.collection_def["saved_model_assets"].any_list.value if _has_assets(meta_graph) else ():
        definition = meta_graph_pb2.AssetFileDef()
        if packed.Unpack(definition):
            yield definition


def _has_assets(meta_graph: meta_graph_pb2.MetaGraphDef) -> bool:
    return not meta_graph.asset_file_def and "saved_model_assets" in meta_graph.collection_def


def _restores(meta_graph: meta_graph_pb2.MetaGraphDef) -> bool:
    """Whether loading needs a checkpoint."""
    if not meta_graph.saver_def.restore_op_name:
        return False
    graph = meta_graph.graph_def
    parts = (graph.node, *(function.node_def for function in graph.library.function))
    return any(node.op in _RESTORED for nodes in parts for node in nodes)


def _missing_variables(version: Path, needed: bool) -> str:
    index = version / f"{_VARIABLES}.index"
    if not index.is_file():
        parts = list((version / "variables").glob("variables.data-*"))
        return _no_index() if needed or parts else ""
    try:
        lengths = tensor_bundle.least_bytes(index.read_bytes())
    except ValueError as error:
        return f"{_VARIABLES}.index cannot be read: {error}"
    for shard, least in enumerate(lengths):
        name = f"{_VARIABLES}.data-{shard:05d}-of-{len(lengths):05d}"
        part = version / name
        if not part.is_file():
            return f"{name} is not there"
        if part.stat().st_size < least:
            return f"{name} has {part.stat().st_size} bytes of at least {least}"
    return ""


def _no_index() -> str:
    return f"{_VARIABLES}.index is not there, and the graph restores variables"
