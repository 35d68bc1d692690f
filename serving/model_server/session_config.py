"""The flags of sessions as TensorFlow's ConfigProto. Source: `model_servers/server.cc`.

Threads within operations are shared by all sessions of a process, and the first one decides how many there are: every
session gets the same ConfigProto.
"""

from pathlib import Path

from signet.serving.errors import InvalidInput
from signet.serving.model_server import text_file
from signet.serving.model_server.flags import Flags
from signet.serving.process import cores
from signet.serving.tensors.protos import config_pb2


def from_flags(flags: Flags) -> bytes:
    """A serialized ConfigProto: the file's, with the flags that are set in its place; processes share the cores.

    Raises `NotFound` and `InvalidInput`.
    """
    config = config_pb2.ConfigProto()
    if flags.tensorflow_session_config_file:
        text_file.read(Path(flags.tensorflow_session_config_file), config)
    both, intra, inter = (
        flags.tensorflow_session_parallelism,
        flags.tensorflow_intra_op_parallelism,
        flags.tensorflow_inter_op_parallelism,
    )
    if both and intra and inter:
        raise InvalidInput(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    if not intra and not inter:
        intra = inter = both
    if intra:
        config.intra_op_parallelism_threads = intra
    if inter:
        config.inter_op_parallelism_threads = inter
    if flags.processes > 1 and not config.intra_op_parallelism_threads:
        config.intra_op_parallelism_threads = cores.threads(flags.processes)
    if flags.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    return config.SerializeToString()


def placed_softly(flags: Flags) -> bytes:
    """The ConfigProto of `from_flags`, with which a graph that wants a GPU runs without one; the original does not load it.

    A ConfigProto file says that itself.
    """
    config = config_pb2.ConfigProto.FromString(from_flags(flags))
    if not flags.tensorflow_session_config_file:
        config.allow_soft_placement = True
    return config.SerializeToString()


def tags(flags: Flags) -> tuple[str, ...]:
    """Tags of the MetaGraph to load."""
    return tuple(flags.saved_model_tags.split(","))
