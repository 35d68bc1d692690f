"""TensorFlow's C API (`tensorflow/c/c_api.h`), as much of it as serving needs, through ctypes.

    Session(path): variables loaded, .meta_graph bytes ──.call(feeds, fetches)──▶ PreparedCall: arrays in, arrays out

Loading and running go through `_LIB`, which lets the interpreter lock go; the many tiny functions (sizes, pointers,
allocation) go through `_HELD`, the same library with the lock held, because letting it go costs more than they do.

Errors of TensorFlow are raised as the classes of `serving/errors.py`, by status code, with TensorFlow's message.
"""

import ctypes
import importlib.util
import math
import os
import struct
import threading
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.serving.errors import CODE_NAMES, InvalidInput, from_code
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import MAX_RANK, Array
from signet.serving.tensors.protos import config_pb2

_STRING_BYTES = 24
"""Size of one TF_TString (`tensorflow/core/platform/ctstring_internal.h`)."""
_SMALL_BYTES = 1 << 13
"""Up to here it is cheaper to copy an array twice, as bytes in between, than to ask numpy for its address."""


class _Buffer(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p))


class _Output(ctypes.Structure):
    _fields_ = (("operation", c_void_p), ("index", c_int))


_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "TF_Version": (c_char_p, []),
    "TF_NewStatus": (c_void_p, []),
    "TF_DeleteStatus": (None, [c_void_p]),
    "TF_GetCode": (c_int, [c_void_p]),
    "TF_Message": (c_char_p, [c_void_p]),
    "TF_NewBuffer": (POINTER(_Buffer), []),
    "TF_NewBufferFromString": (POINTER(_Buffer), [c_char_p, c_size_t]),
    "TF_DeleteBuffer": (None, [POINTER(_Buffer)]),
    "TF_NewSessionOptions": (c_void_p, []),
    "TF_SetConfig": (None, [c_void_p, c_char_p, c_size_t, c_void_p]),
    "TF_DeleteSessionOptions": (None, [c_void_p]),
    "TF_NewGraph": (c_void_p, []),
    "TF_DeleteGraph": (None, [c_void_p]),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        [c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, POINTER(_Buffer), c_void_p],
    ),
    "TF_CloseSession": (None, [c_void_p, c_void_p]),
    "TF_DeleteSession": (None, [c_void_p, c_void_p]),
    "TF_SessionListDevices": (c_void_p, [c_void_p, c_void_p]),
    "TF_DeviceListCount": (c_int, [c_void_p]),
    "TF_DeleteDeviceList": (None, [c_void_p]),
    "TF_GraphOperationByName": (c_void_p, [c_void_p, c_char_p]),
    "TF_OperationNumOutputs": (c_int, [c_void_p]),
    "TF_SessionRun": (
        None,
        [
            c_void_p,
            POINTER(_Buffer),
            POINTER(_Output),
            POINTER(c_void_p),
            c_int,
            POINTER(_Output),
            POINTER(c_void_p),
            c_int,
            c_void_p,
            c_int,
            POINTER(_Buffer),
            c_void_p,
        ],
    ),
    "TF_AllocateTensor": (c_void_p, [c_int, c_char_p, c_int, c_size_t]),  # the sizes as bytes: see `_SIZES`
    "TF_DeleteTensor": (None, [c_void_p]),
    "TF_TensorType": (c_int, [c_void_p]),
    "TF_NumDims": (c_int, [c_void_p]),
    "TF_Dim": (c_int64, [c_void_p, c_int]),
    "TF_TensorByteSize": (c_size_t, [c_void_p]),
    "TF_TensorData": (c_void_p, [c_void_p]),
    "TF_StringInit": (None, [c_void_p]),
    "TF_StringCopy": (None, [c_void_p, c_char_p, c_size_t]),
    "TF_StringGetDataPointer": (c_void_p, [c_void_p]),
    "TF_StringGetSize": (c_size_t, [c_void_p]),
    "TF_StringDealloc": (None, [c_void_p]),
}
_LOCK_FREE = (
    "TF_LoadSessionFromSavedModel",
    "TF_SessionRun",
    "TF_CloseSession",
    "TF_DeleteSession",
    "TF_DeleteGraph",
)


class _Functions:
    """The functions of one library handle, with their prototypes: a missing one would truncate pointers."""

    def __init__(self, library: ctypes.CDLL, names: Sequence[str]) -> None:
        for name in names:
            function = getattr(library, name)
            function.restype, function.argtypes = _PROTOTYPES[name]
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:  # for type checkers: what __init__ has not set does not exist
        raise AttributeError(name)


def _library_path() -> str:
    spec = importlib.util.find_spec("tensorflow")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for name in ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib"):
            if (Path(folder) / name).exists():
                return str(Path(folder) / name)
    raise ImportError(
        "the engine needs TensorFlow's C library: pip install 'signet-serving[engine]', on Python 3.11 to 3.13"
    )


# TensorFlow logs to stderr and reads the level from the environment. What matters comes back as a status and is
# raised; what it prints on a machine without a GPU looks like a failure and is none.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# All sessions share one pool of threads for operations, of as many as there are cores: calls that loop for long would take it
# whole, and those of another model could not begin. As many as calls run at once, by the runner's turns, is enough for each.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(2 * (os.cpu_count() or 1)))
_PATH = _library_path()


def _set_log_level(library: ctypes.CDLL) -> None:
    """Have the logging library inside TensorFlow heed the level, too: the variable alone lets some of its lines through.

    It has no C interface; a build without this name of its function goes on as it would.
    """
    level = os.environ["TF_CPP_MIN_LOG_LEVEL"]
    set_level = getattr(library, "_ZN4absl12lts_2025012714SetMinLogLevelENS0_18LogSeverityAtLeastE", None)
    if set_level and level.isdecimal():
        set_level.argtypes, set_level.restype = [c_int], None
        set_level(min(int(level), 3))  # 0 all, 3 what ends the process


_LIB = _Functions(ctypes.CDLL(_PATH), _LOCK_FREE)
_set_log_level(ctypes.CDLL(_PATH))
_HELD = _Functions(ctypes.PyDLL(_PATH), [name for name in _PROTOTYPES if name not in _LOCK_FREE])

_bytes_at = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
"""What `ctypes.string_at` calls, without a Python function around it."""
_copy_bytes = ctypes.PYFUNCTYPE(None, c_void_p, c_char_p, c_size_t)(("memcpy", ctypes.pythonapi))
_SIZES = [struct.Struct(f"{rank}q") for rank in range(MAX_RANK + 1)]
"""The sizes of an array as C's int64_t, by rank: a pointer to bytes is cheaper to make than an array of ctypes."""


def _buffer(message: config_pb2.RunOptions) -> Any:
    """A serialized message in a TF_Buffer."""
    data = message.SerializeToString()
    return _HELD.TF_NewBufferFromString(data, len(data))


_RUN_IN_CALLER = _buffer(config_pb2.RunOptions(inter_op_thread_pool=-1))
"""The options of every call that runs in the calling thread: the library only reads them."""


def version() -> str:
    """TensorFlow's version, such as `2.20.0`."""
    return str(_HELD.TF_Version().decode())


class _Status:
    """A TF_Status; `check` raises what it says. Each call overwrites what the one before has said."""

    def __init__(self) -> None:
        self.pointer = c_void_p(_HELD.TF_NewStatus())

    def __del__(self, delete: Callable[[c_void_p], None] = _HELD.TF_DeleteStatus) -> None:
        delete(self.pointer)

    def check(self) -> None:
        code = _HELD.TF_GetCode(self.pointer)
        if code:
            message = _HELD.TF_Message(self.pointer).decode(errors="replace")
            raise from_code(CODE_NAMES[code] if code < len(CODE_NAMES) else "UNKNOWN", message)


class _OfThread(threading.local):
    """What each thread keeps for its calls, one of which runs at a time."""

    def __init__(self) -> None:
        self.status = _Status()


_OF_THREAD = _OfThread()


class Session:
    """A loaded SavedModel. Close it only when no call is running: the library would crash."""

    def __init__(self, path: Path, tags: Sequence[str] = ("serve",), config: bytes = b"") -> None:
        """Load variables, run the initialisation.

        config: a serialized ConfigProto. Raises `NotFound` when files are missing, `InvalidInput` and others when
        they are broken.
        """
        self._graph = c_void_p(_HELD.TF_NewGraph())
        options = c_void_p(_HELD.TF_NewSessionOptions())
        meta_graph = _HELD.TF_NewBuffer()
        names = (c_char_p * len(tags))(*[tag.encode() for tag in tags])
        self._session: c_void_p | None = None
        try:
            status = _Status()
            _HELD.TF_SetConfig(options, config, len(config), status.pointer)
            status.check()
            session = _LIB.TF_LoadSessionFromSavedModel(
                options, None, os.fsencode(path), names, len(tags), self._graph, meta_graph, status.pointer
            )
            status.check()
            self._session = c_void_p(session)
            self.meta_graph: bytes = ctypes.string_at(meta_graph.contents.data, meta_graph.contents.length)
        finally:
            _HELD.TF_DeleteBuffer(meta_graph)
            _HELD.TF_DeleteSessionOptions(options)
            if self._session is None:
                _LIB.TF_DeleteGraph(self._graph)

    def call(self, feeds: Sequence[str], fetches: Sequence[str]) -> "PreparedCall":
        """A prepared call: tensors to feed and to fetch, by name in the graph, in this order."""
        return PreparedCall(self._handle(), self._outputs(feeds), self._outputs(fetches))

    def device_count(self) -> int:
        """Processors and GPUs that operations may be placed on; the processor with all its cores is one."""
        status = _Status()
        devices = c_void_p(_HELD.TF_SessionListDevices(self._handle(), status.pointer))
        status.check()
        try:
            return int(_HELD.TF_DeviceListCount(devices))
        finally:
            _HELD.TF_DeleteDeviceList(devices)

    def close(self) -> None:
        """Free the session and its graph. Calling it twice is harmless."""
        session, self._session = self._session, None
        if session is None:
            return
        status = _Status()
        _LIB.TF_CloseSession(session, status.pointer)
        _LIB.TF_DeleteSession(session, status.pointer)
        _LIB.TF_DeleteGraph(self._graph)

    def _handle(self) -> c_void_p:
        if self._session is None:
            raise from_code("UNAVAILABLE", "the session is closed")
        return self._session

    def _outputs(self, names: Sequence[str]) -> Any:
        outputs = (_Output * len(names))()
        for output, name in zip(outputs, names, strict=True):
            operation_name, _, index = name.partition(":")
            operation = _HELD.TF_GraphOperationByName(self._graph, operation_name.encode())
            output.operation, output.index = operation, int(index or 0)
            # A bad index would be read past the end of an array in the library.
            if operation is None or not 0 <= output.index < _HELD.TF_OperationNumOutputs(operation):
                raise InvalidInput(f"the graph has no tensor {name!r}")
        return outputs


@dataclass(frozen=True)
class RunOptions:
    """How one run is carried out."""

    timeout_s: float | None = None
    """After this TensorFlow stops between two operations with DEADLINE_EXCEEDED; one long operation runs to its end."""
    in_caller: bool = False
    """Run in the calling thread: faster for small straight networks, and the timeout does nothing."""


_PLAIN = RunOptions()


class PreparedCall:
    """Arrays in, arrays out, in the order of the feeds and fetches it was made for. May run in several threads."""

    def __init__(self, session: c_void_p, feeds: Any, fetches: Any) -> None:
        self._session, self._feeds, self._fetches = session, feeds, fetches
        self._feed_count, self._fetch_count = len(feeds), len(fetches)
        self._input_array = c_void_p * len(feeds)
        self._output_array = c_void_p * len(fetches)

    def __call__(self, arrays: Sequence[Array], options: RunOptions = _PLAIN) -> list[Array]:
        """Run the graph. Raises the error of TensorFlow's status; wrong dtypes and shapes give `InvalidInput`.

        The arrays that come out may be read-only.
        """
        tensors: list[int] = []
        outputs = self._output_array()
        run_options = _RUN_IN_CALLER if options.in_caller else _time_limit(options.timeout_s)
        try:
            for array in arrays:
                tensors.append(_new_tensor(array))  # each is freed, whatever happens to the next
            status = _OF_THREAD.status
            _LIB.TF_SessionRun(
                self._session,
                run_options,
                self._feeds,
                self._input_array(*tensors),
                self._feed_count,
                self._fetches,
                outputs,
                self._fetch_count,
                None,
                0,
                None,
                status.pointer,
            )
            status.check()
            # An output may share its input's memory: everything is copied before anything is freed.
            return [_to_array(tensor) for tensor in outputs if tensor]
        finally:
            for tensor in tensors:
                _HELD.TF_DeleteTensor(tensor)
            for output in outputs:
                if output:
                    _HELD.TF_DeleteTensor(output)
            if run_options and not options.in_caller:
                _HELD.TF_DeleteBuffer(run_options)


def _time_limit(seconds: float | None) -> Any:
    """A buffer with RunOptions; None for no limit."""
    if seconds is None:
        return None
    return _buffer(config_pb2.RunOptions(timeout_in_ms=max(1, int(seconds * 1000))))


def _new_tensor(array: Array) -> int:
    dtype = dtypes.from_numpy(array.dtype)
    is_string = dtype.enum == dtypes.STRING
    nbytes = array.size * _STRING_BYTES if is_string else array.nbytes
    shape = array.shape
    rank = len(shape)
    tensor: int | None = _HELD.TF_AllocateTensor(dtype.enum, _SIZES[rank].pack(*shape), rank, nbytes)
    if not tensor:
        raise from_code("RESOURCE_EXHAUSTED", f"no memory for a tensor of {nbytes} bytes")
    if not nbytes:
        return tensor
    data = _HELD.TF_TensorData(tensor)
    if is_string:
        _fill_strings(data, array)
    elif nbytes <= _SMALL_BYTES:
        _copy_bytes(data, array.tobytes(), nbytes)
    else:
        array = np.ascontiguousarray(array)
        ctypes.memmove(data, array.ctypes.data, nbytes)
    return tensor


def _fill_strings(data: int, array: Array) -> None:
    # All are initialised first, so that the tensor can be freed whatever happens to one element.
    for address in range(data, data + array.size * _STRING_BYTES, _STRING_BYTES):
        _HELD.TF_StringInit(address)
    for i, value in enumerate(array.reshape(-1).tolist()):
        _HELD.TF_StringCopy(data + i * _STRING_BYTES, value, len(value))


def _to_array(tensor: int) -> Array:
    dtype = dtypes.from_enum(_HELD.TF_TensorType(tensor))
    shape = [_HELD.TF_Dim(tensor, i) for i in range(_HELD.TF_NumDims(tensor))]
    if 0 in shape:
        return np.empty(shape, dtype.numpy)
    data = _HELD.TF_TensorData(tensor)
    if dtype.enum != dtypes.STRING:
        nbytes = math.prod(shape) * dtype.numpy.itemsize
        return np.frombuffer(_bytes_at(data, nbytes), dtype.numpy).reshape(shape)
    array: Array = np.empty(shape, dtype.numpy)
    flat = array.reshape(-1)
    for i in range(array.size):
        address = data + i * _STRING_BYTES
        flat[i] = ctypes.string_at(_HELD.TF_StringGetDataPointer(address), _HELD.TF_StringGetSize(address))
    return array
