"""The messages and stubs of TensorFlow and TensorFlow Serving, without importing TensorFlow.

Importing `tensorflow` takes seconds and half a gigabyte; its message files need neither. Python has to import the
parent package first, so an empty package of that name stands in while the files are imported, and is taken out again.
This is the only module that does so. TensorFlow itself may be imported before or after, in the same process.

The files are those of the installed packages; where there are none, those that `make wheel` puts beside this one.
Everybody imports from here: `from signet.serving.tensors.protos import predict_pb2`. The stubs need gRPC, and are imported when
they are asked for. Their types stand in `protos.pyi`.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_BUNDLED = Path(__file__).parent / "messages"
_STUBS = ("model_service_pb2_grpc", "prediction_service_pb2_grpc")


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    sys.path.append(str(_BUNDLED))  # at the end: installed packages come first
    try:
        if "tensorflow" in sys.modules:
            yield
            return
        stand_in = ModuleType("tensorflow")
        stand_in.__path__ = _places()
        sys.modules["tensorflow"] = stand_in
        try:
            yield
        finally:
            del sys.modules["tensorflow"]
    finally:
        sys.path.remove(str(_BUNDLED))


def _places() -> list[str]:
    """Where the package `tensorflow` lies."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(
            "the message files of TensorFlow are missing: install signet from the wheel of `make wheel`, or tensorflow"
        )
    return list(spec.submodule_search_locations)


def _load(*names: str) -> list[Any]:
    return [importlib.import_module(name) for name in names]


with _without_tensorflow():
    (
        attr_value_pb2,
        config_pb2,
        example_pb2,
        feature_pb2,
        function_pb2,
        graph_pb2,
        meta_graph_pb2,
        node_def_pb2,
        op_def_pb2,
        saved_model_pb2,
        saver_pb2,
        tensor_pb2,
        tensor_shape_pb2,
        types_pb2,
    ) = _load(
        "tensorflow.core.framework.attr_value_pb2",
        "tensorflow.core.protobuf.config_pb2",
        "tensorflow.core.example.example_pb2",
        "tensorflow.core.example.feature_pb2",
        "tensorflow.core.framework.function_pb2",
        "tensorflow.core.framework.graph_pb2",
        "tensorflow.core.protobuf.meta_graph_pb2",
        "tensorflow.core.framework.node_def_pb2",
        "tensorflow.core.framework.op_def_pb2",
        "tensorflow.core.protobuf.saved_model_pb2",
        "tensorflow.core.protobuf.saver_pb2",
        "tensorflow.core.framework.tensor_pb2",
        "tensorflow.core.framework.tensor_shape_pb2",
        "tensorflow.core.framework.types_pb2",
    )
    (
        classification_pb2,
        file_system_storage_path_source_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_pb2,
        model_management_pb2,
        model_server_config_pb2,
        predict_pb2,
        prediction_log_pb2,
        regression_pb2,
        status_pb2,
    ) = _load(
        "tensorflow_serving.apis.classification_pb2",
        "tensorflow_serving.config.file_system_storage_path_source_pb2",
        "tensorflow_serving.apis.get_model_metadata_pb2",
        "tensorflow_serving.apis.get_model_status_pb2",
        "tensorflow_serving.apis.inference_pb2",
        "tensorflow_serving.apis.input_pb2",
        "tensorflow_serving.apis.model_pb2",
        "tensorflow_serving.apis.model_management_pb2",
        "tensorflow_serving.config.model_server_config_pb2",
        "tensorflow_serving.apis.predict_pb2",
        "tensorflow_serving.apis.prediction_log_pb2",
        "tensorflow_serving.apis.regression_pb2",
        "tensorflow_serving.apis.status_pb2",
    )


def __getattr__(name: str) -> Any:
    """The stubs."""
    if name not in _STUBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _without_tensorflow():
        return importlib.import_module(f"tensorflow_serving.apis.{name}")
