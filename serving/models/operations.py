"""Operations of a SavedModel that reach beyond its numbers: files, the network, Python, the process itself.

    outputs of each signature, initialisers, the restoring of variables
        ──inputs, control inputs, functions that are called──▶ every operation that can run ──▶ those that `KINDS` names

Whoever can call such a model can read and write what the server can, so that `signet serve` refuses it unless somebody
has allowed the operation by name. Not meant are the saver's own operations, which read the checkpoint that TensorFlow
hands them, and tables that are filled from the version's own assets. A function counts with all that is in it, as
TensorFlow may run any part that has effects.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from signet.serving.errors import UsageError
from signet.serving.models.completeness import asset_files
from signet.serving.tensors.protos import meta_graph_pb2, node_def_pb2
from signet.serving.tensors.signature import internal, nearest_hint

FILES, NETWORK, PYTHON, PROCESS = "files", "the network", "Python code", "the server's process"
ANY = "whatever its input describes"

_FILES = """
    CSVDataset CSVDatasetV2 CacheDataset CacheDatasetV2 CalibrationStatisticsSaver
    CreateSummaryDbWriter CreateSummaryFileWriter DTensorRestoreV2 DatasetToTFRecord DecodeProtoV2 DistributedSave
    DumpTensor EncodeProto ExperimentalCSVDataset ExperimentalDatasetToTFRecord ExperimentalLMDBDataset
    ExperimentalMatchingFilesDataset ExperimentalSqlDataset FileSystemSetConfiguration FixedLengthRecordDataset
    FixedLengthRecordDatasetV2 FixedLengthRecordReader FixedLengthRecordReaderV2 FixedUnigramCandidateSampler
    GenerateVocabRemapping ImmutableConst ImportEvent InitializeTRTResource InitializeTableFromTextFile
    InitializeTableFromTextFileV2 LMDBDataset LMDBReader ListSnapshotChunksDataset LoadAndRemapMatrix
    LoadDataset MatchingFiles MatchingFilesDataset MergeV2Checkpoints PrintV2 ReadFile RecordInput Restore RestoreSlice
    RestoreV2 Save SaveDataset SaveDatasetV2 SaveSlices SaveV2 SerializeTRTResource SnapshotChunkDataset SnapshotDataset
    SnapshotDatasetReader SnapshotDatasetV2 SnapshotNestedDatasetReader SqlDataset TFRecordDataset TFRecordDatasetV2
    TFRecordReader TFRecordReaderV2 TextLineDataset TextLineReader TextLineReaderV2 WholeFileReader WholeFileReaderV2
    WriteFile
"""
_NETWORK = """
    DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3
    DataServiceDatasetV4 DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
    RegisterDataset RegisterDatasetV2 RemoteCall Recv RpcCall
    RpcCheckStatus RpcClient RpcGetValue RpcServer RpcServerRegister RpcServerStart Send _HostRecv _HostSend _Recv _Send
"""
_PYTHON = "EagerPyFunc PyFunc PyFuncStateless"
_PROCESS = """
    Abort ConfigureAndInitializeGlobalTPU ConfigureDistributedTPU OutfeedDequeue ShutdownDistributedTPU ShutdownTPUSystem
    WorkerHeartbeat XlaHostCompute XlaRecvFromHost XlaSendToHost _XlaHostComputeMlir
"""
_ANY = "DatasetFromGraph DeserializeIterator"
KINDS: Mapping[str, str] = {
    name: kind
    for kind, names in ((FILES, _FILES), (NETWORK, _NETWORK), (PYTHON, _PYTHON), (PROCESS, _PROCESS), (ANY, _ANY))
    for name in names.split()
}
"""Operation -> what it touches. From the registry of TensorFlow 2.20: what its kernels open, connect to or call."""

_PREFIXES = {"Collective": NETWORK, "Nccl": NETWORK, "IO>": FILES}
"""Families of operations: what begins so touches that."""

_RESTORING = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
"""What the saver's own part of the graph is made of."""
_TABLE_FILES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""Their second input names the file."""
_PASSING = frozenset({"Identity", "ReadVariableOp"})
"""Operations that pass on what they get."""
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


@dataclass(frozen=True)
class Reached:
    """An operation that reaches beyond the model."""

    name: str
    touches: str
    by: str
    """From where it is reached, such as `signature 'serving_default'`."""

    def __str__(self) -> str:
        return f"{self.name} ({self.touches}; {self.by})"


def reaching_out(meta_graph: meta_graph_pb2.MetaGraphDef) -> list[Reached]:
    """The operations of a MetaGraphDef that can run and touch more than its own numbers, in the order of their names."""
    graph = _Graph(meta_graph)
    found: dict[str, Reached] = {}
    for by, names, restores in _roots(meta_graph):
        for operation, kind in graph.reached(names, restores=restores):
            found.setdefault(operation, Reached(operation, kind, by))
    return [found[name] for name in sorted(found)]


def refusal(reached: Iterable[Reached], allowed: Iterable[str]) -> str:
    """Why a version is not served: its operations that nobody has allowed; empty where there are none."""
    left = [operation for operation in reached if operation.name not in set(allowed)]
    if not left:
        return ""
    names = ",".join(operation.name for operation in left)
    return (
        f"its graph reaches operations that touch more than the model: {', '.join(map(str, left))}; "
        f"if you trust the model, --allow-ops {names} serves it"
    )


def parse_names(text: str) -> frozenset[str]:
    """The value of --allow-ops: "ReadFile, WriteFile" -> {"ReadFile", "WriteFile"}. Raises `UsageError` for others."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    for name in sorted(names):
        if _kind(name) is None:
            hint = nearest_hint(name, KINDS)
            raise UsageError(f"--allow-ops: {name[:100]!r} is no operation that has to be allowed{hint}")
    return names


def _kind(operation: str) -> str | None:
    """What an operation touches; None for one that touches nothing but its model."""
    families = (kind for prefix, kind in _PREFIXES.items() if operation.startswith(prefix))
    return KINDS.get(operation) or next(families, None)


def _roots(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[str, list[str], bool]]:
    """Where running begins: what it is for, names of nodes, and whether it is the saver's part."""
    for key in sorted(meta_graph.signature_def):
        names = []
        for info in meta_graph.signature_def[key].outputs.values():
            names += [info.name, *_components(info)]
        yield ("the initialisation" if internal(key) else f"signature {key!r}"), names, False
    for key in _INIT_COLLECTIONS:
        if key in meta_graph.collection_def:
            yield "the initialisation", list(meta_graph.collection_def[key].node_list.value), False
    if meta_graph.saver_def.restore_op_name:
        yield "the restoring of variables", [meta_graph.saver_def.restore_op_name], True


def _components(info: meta_graph_pb2.TensorInfo) -> list[str]:
    """The tensors of a sparse or composite output."""
    sparse = info.coo_sparse
    parts = [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    return [part for part in parts if part] + [part.name for part in info.composite_tensor.components]


def _node_of(name: str) -> str:
    """The node that an input or a tensor belongs to: `^a`, `a:0`, `a:output:0` -> `a`."""
    return name.removeprefix("^").partition(":")[0]


class _Graph:
    """A graph and its functions, to be walked."""

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        self._nodes = {node.name: node for node in meta_graph.graph_def.node}
        library = meta_graph.graph_def.library
        self._functions = {function.signature.name: function for function in library.function}
        self._gradients = {gradient.function_name: gradient.gradient_func for gradient in library.gradient}
        self._assets = self._asset_nodes(meta_graph)

    def reached(self, names: Iterable[str], *, restores: bool) -> Iterator[tuple[str, str]]:
        """Operations that touch something, and what, among all that the named nodes or tensors need."""
        seen: set[str] = set()
        left = [_node_of(name) for name in names]
        calls: list[tuple[str, frozenset[int]]] = []
        while left:
            name = left.pop()
            node = self._nodes.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            left += map(_node_of, node.input)
            yield from self._touched(node, self._assets, restores=restores)
            calls += self._called(node, self._assets)
        yield from self._in_functions(calls, restores=restores)

    def _in_functions(self, calls: list[tuple[str, frozenset[int]]], *, restores: bool) -> Iterator[tuple[str, str]]:
        seen: set[tuple[str, frozenset[int]]] = set()
        while calls:
            call = calls.pop()
            function = self._functions.get(call[0])
            if function is None or call in seen:
                continue
            seen.add(call)
            assets = {argument.name for i, argument in enumerate(function.signature.input_arg) if i in call[1]}
            nodes = {node.name: node for node in function.node_def}
            assets |= {name for name, node in nodes.items() if self._passes(node, nodes, assets)}
            for node in function.node_def:
                yield from self._touched(node, assets, restores=restores)
                calls += self._called(node, assets)

    @staticmethod
    def _passes(node: node_def_pb2.NodeDef, nodes: Mapping[str, node_def_pb2.NodeDef], assets: set[str]) -> bool:
        """Whether a node of a function gives on an asset that the function was given."""
        for _ in range(len(nodes) + 1):
            if node.op not in _PASSING or not node.input:
                return False
            name = _node_of(node.input[0])
            if name in assets:
                return True
            if name not in nodes:
                return False
            node = nodes[name]
        return False

    def _asset_nodes(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
        """Nodes that hold the path of one of the version's own assets, or a variable of it."""
        assets = {
            _node_of(definition.tensor_info.name)
            for definition in asset_files(meta_graph)
            if _is_inside(definition.filename)
        }
        assigned: dict[str, list[str]] = {}
        for node in self._nodes.values():
            if node.op in ("AssignVariableOp", "Assign"):
                assigned.setdefault(_node_of(node.input[0]), []).append(_node_of(node.input[1]))
        assets |= {variable for variable, values in assigned.items() if set(values) <= assets}
        return assets | {name for name, node in self._nodes.items() if self._passes(node, self._nodes, assets)}

    def _called(self, node: node_def_pb2.NodeDef, assets: set[str]) -> Iterator[tuple[str, frozenset[int]]]:
        """Functions that a node may call, and which of their arguments are assets."""
        inputs = [_node_of(name) for name in node.input if not name.startswith("^")]
        given = frozenset(i for i, name in enumerate(inputs) if name in assets)
        plain = node.op in ("PartitionedCall", "StatefulPartitionedCall") or node.op in self._functions
        for name in _functions_of(node):
            # Others hand their inputs on in ways of their own: an asset is not followed through them.
            yield name, given if plain else frozenset()
            if name in self._gradients:
                yield self._gradients[name], frozenset()

    def _touched(self, node: node_def_pb2.NodeDef, assets: set[str], *, restores: bool) -> Iterator[tuple[str, str]]:
        kind = _kind(node.op)
        if kind is None or (restores and node.op in _RESTORING):
            return
        if node.op in _TABLE_FILES and len(node.input) > 1 and _node_of(node.input[1]) in assets:
            return
        if self._is_idle(node):
            return
        yield node.op, kind

    def _is_idle(self, node: node_def_pb2.NodeDef) -> bool:
        """Whether an operation that could touch something is set to touch nothing."""
        if node.op == "PrintV2":
            return not node.attr["output_stream"].s.startswith(b"file:")
        if node.op == "FixedUnigramCandidateSampler":
            return not node.attr["vocab_file"].s
        if node.op in ("DecodeProtoV2", "EncodeProto"):  # else their descriptors are in a file
            return node.attr["descriptor_source"].s.startswith((b"local://", b"bytes://"))
        if node.op.startswith("Debug"):
            return not node.attr["debug_urls"].list.s
        return node.op in ("CacheDataset", "CacheDatasetV2") and self._is_empty_text(node.input[1])

    def _is_empty_text(self, name: str) -> bool:
        """Whether a tensor is the constant "": the cache is in memory then. Names repeat across functions: all have to be."""
        wanted = _node_of(name)
        nodes = [self._nodes[wanted]] if wanted in self._nodes else []
        for function in self._functions.values():
            nodes += [node for node in function.node_def if node.name == wanted]
        return bool(nodes) and all(
            node.op == "Const" and not any(node.attr["value"].tensor.string_val) for node in nodes
        )


def _functions_of(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Names of functions among a node's attributes, and its own kind, which may be one."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def _is_inside(filename: str) -> bool:
    """Whether a path below `assets` stays there."""
    path = PurePosixPath(filename)
    return not path.is_absolute() and ".." not in path.parts
