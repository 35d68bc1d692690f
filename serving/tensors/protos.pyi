"""Types of the messages in `protos.py`: the fields that this project uses, for type checkers and editors.

A class here stands for a module, so that `predict_pb2.PredictRequest` is written as it is imported. The files of
TensorFlow and TensorFlow Serving bring no types; `tests/serving/tensors/test_protos.py` holds this file against them.
"""

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.internal.containers import MessageMap, ScalarMap
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Messages
from google.protobuf.internal.containers import RepeatedScalarFieldContainer as Values
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

class types_pb2:
    DataType: EnumTypeWrapper

class tensor_shape_pb2:
    class TensorShapeProto(Message):
        class Dim(Message):
            size: int
            name: str

        dim: Messages[tensor_shape_pb2.TensorShapeProto.Dim]
        unknown_rank: bool

class tensor_pb2:
    class TensorProto(Message):
        dtype: int
        tensor_shape: tensor_shape_pb2.TensorShapeProto
        tensor_content: bytes
        half_val: Values[int]
        float_val: Values[float]
        double_val: Values[float]
        int_val: Values[int]
        string_val: Values[bytes]
        scomplex_val: Values[float]
        int64_val: Values[int]
        bool_val: Values[bool]
        dcomplex_val: Values[float]
        uint32_val: Values[int]
        uint64_val: Values[int]
        def __init__(
            self,
            *,
            dtype: int = ...,
            tensor_shape: tensor_shape_pb2.TensorShapeProto = ...,
            tensor_content: bytes = ...,
            half_val: Iterable[int] = ...,
            float_val: Iterable[float] = ...,
            double_val: Iterable[float] = ...,
            int_val: Iterable[int] = ...,
            string_val: Iterable[bytes] = ...,
            scomplex_val: Iterable[float] = ...,
            int64_val: Iterable[int] = ...,
            bool_val: Iterable[bool] = ...,
            dcomplex_val: Iterable[float] = ...,
            uint32_val: Iterable[int] = ...,
            uint64_val: Iterable[int] = ...,
        ) -> None: ...

class feature_pb2:
    class BytesList(Message):
        value: Values[bytes]

    class FloatList(Message):
        value: Values[float]

    class Int64List(Message):
        value: Values[int]

    class Feature(Message):
        bytes_list: feature_pb2.BytesList
        float_list: feature_pb2.FloatList
        int64_list: feature_pb2.Int64List

    class Features(Message):
        feature: MessageMap[str, feature_pb2.Feature]

class example_pb2:
    class Example(Message):
        features: feature_pb2.Features

class attr_value_pb2:
    class AttrValue(Message):
        class ListValue(Message):
            s: Values[bytes]
            func: Messages[attr_value_pb2.NameAttrList]

        s: bytes
        tensor: tensor_pb2.TensorProto
        list: attr_value_pb2.AttrValue.ListValue
        func: attr_value_pb2.NameAttrList

    class NameAttrList(Message):
        name: str

class node_def_pb2:
    class NodeDef(Message):
        name: str
        op: str
        input: Values[str]
        attr: MessageMap[str, attr_value_pb2.AttrValue]

class op_def_pb2:
    class OpDef(Message):
        class ArgDef(Message):
            name: str

        name: str
        input_arg: Messages[op_def_pb2.OpDef.ArgDef]

class function_pb2:
    class FunctionDef(Message):
        signature: op_def_pb2.OpDef
        node_def: Messages[node_def_pb2.NodeDef]

    class GradientDef(Message):
        function_name: str
        gradient_func: str

    class FunctionDefLibrary(Message):
        function: Messages[function_pb2.FunctionDef]
        gradient: Messages[function_pb2.GradientDef]

class graph_pb2:
    class GraphDef(Message):
        node: Messages[node_def_pb2.NodeDef]
        library: function_pb2.FunctionDefLibrary

class saver_pb2:
    class SaverDef(Message):
        restore_op_name: str

class meta_graph_pb2:
    class TensorInfo(Message):
        class CooSparse(Message):
            values_tensor_name: str
            indices_tensor_name: str
            dense_shape_tensor_name: str

        class CompositeTensor(Message):
            components: Messages[meta_graph_pb2.TensorInfo]

        name: str
        coo_sparse: meta_graph_pb2.TensorInfo.CooSparse
        composite_tensor: meta_graph_pb2.TensorInfo.CompositeTensor
        dtype: int
        tensor_shape: tensor_shape_pb2.TensorShapeProto

    class SignatureDef(Message):
        inputs: MessageMap[str, meta_graph_pb2.TensorInfo]
        outputs: MessageMap[str, meta_graph_pb2.TensorInfo]
        method_name: str
        defaults: MessageMap[str, tensor_pb2.TensorProto]

    class AssetFileDef(Message):
        tensor_info: meta_graph_pb2.TensorInfo
        filename: str

    class CollectionDef(Message):
        class NodeList(Message):
            value: Values[str]

        class AnyList(Message):
            value: Messages[any_pb2.Any]

        node_list: meta_graph_pb2.CollectionDef.NodeList
        any_list: meta_graph_pb2.CollectionDef.AnyList

    class MetaGraphDef(Message):
        class MetaInfoDef(Message):
            tags: Values[str]

        meta_info_def: meta_graph_pb2.MetaGraphDef.MetaInfoDef
        graph_def: graph_pb2.GraphDef
        saver_def: saver_pb2.SaverDef
        collection_def: MessageMap[str, meta_graph_pb2.CollectionDef]
        signature_def: MessageMap[str, meta_graph_pb2.SignatureDef]
        asset_file_def: Messages[meta_graph_pb2.AssetFileDef]

class saved_model_pb2:
    class SavedModel(Message):
        meta_graphs: Messages[meta_graph_pb2.MetaGraphDef]

class config_pb2:
    class GPUOptions(Message):
        per_process_gpu_memory_fraction: float

    class ConfigProto(Message):
        class Experimental(Message):
            executor_type: str

        intra_op_parallelism_threads: int
        inter_op_parallelism_threads: int
        gpu_options: config_pb2.GPUOptions
        allow_soft_placement: bool
        experimental: config_pb2.ConfigProto.Experimental
        def __init__(
            self,
            *,
            intra_op_parallelism_threads: int = ...,
            inter_op_parallelism_threads: int = ...,
            gpu_options: config_pb2.GPUOptions = ...,
            allow_soft_placement: bool = ...,
            experimental: config_pb2.ConfigProto.Experimental = ...,
        ) -> None: ...

    class RunOptions(Message):
        timeout_in_ms: int
        inter_op_thread_pool: int
        def __init__(self, *, timeout_in_ms: int = ..., inter_op_thread_pool: int = ...) -> None: ...

class model_pb2:
    class ModelSpec(Message):
        name: str
        version: wrappers_pb2.Int64Value
        version_label: str
        signature_name: str
        def __init__(
            self,
            *,
            name: str = ...,
            version: wrappers_pb2.Int64Value = ...,
            version_label: str = ...,
            signature_name: str = ...,
        ) -> None: ...

class predict_pb2:
    class PredictRequest(Message):
        model_spec: model_pb2.ModelSpec
        inputs: MessageMap[str, tensor_pb2.TensorProto]
        output_filter: Values[str]
        def __init__(
            self,
            *,
            model_spec: model_pb2.ModelSpec = ...,
            inputs: Mapping[str, tensor_pb2.TensorProto] = ...,
            output_filter: Iterable[str] = ...,
        ) -> None: ...

    class PredictResponse(Message):
        model_spec: model_pb2.ModelSpec
        outputs: MessageMap[str, tensor_pb2.TensorProto]
        def __init__(
            self, *, model_spec: model_pb2.ModelSpec = ..., outputs: Mapping[str, tensor_pb2.TensorProto] = ...
        ) -> None: ...

class input_pb2:
    class ExampleList(Message):
        examples: Messages[example_pb2.Example]

    class ExampleListWithContext(Message):
        examples: Messages[example_pb2.Example]
        context: example_pb2.Example

    class Input(Message):
        example_list: input_pb2.ExampleList
        example_list_with_context: input_pb2.ExampleListWithContext

class classification_pb2:
    class Class(Message):
        label: str
        score: float

    class Classifications(Message):
        classes: Messages[classification_pb2.Class]

    class ClassificationResult(Message):
        classifications: Messages[classification_pb2.Classifications]

    class ClassificationRequest(Message):
        model_spec: model_pb2.ModelSpec
        input: input_pb2.Input

    class ClassificationResponse(Message):
        model_spec: model_pb2.ModelSpec
        result: classification_pb2.ClassificationResult

class regression_pb2:
    class Regression(Message):
        value: float

    class RegressionResult(Message):
        regressions: Messages[regression_pb2.Regression]

    class RegressionRequest(Message):
        model_spec: model_pb2.ModelSpec
        input: input_pb2.Input

    class RegressionResponse(Message):
        model_spec: model_pb2.ModelSpec
        result: regression_pb2.RegressionResult

class inference_pb2:
    class InferenceTask(Message):
        model_spec: model_pb2.ModelSpec
        method_name: str

    class InferenceResult(Message):
        model_spec: model_pb2.ModelSpec
        classification_result: classification_pb2.ClassificationResult
        regression_result: regression_pb2.RegressionResult

    class MultiInferenceRequest(Message):
        tasks: Messages[inference_pb2.InferenceTask]
        input: input_pb2.Input

    class MultiInferenceResponse(Message):
        results: Messages[inference_pb2.InferenceResult]

class status_pb2:
    class StatusProto(Message):
        error_code: int
        error_message: str

class get_model_status_pb2:
    class GetModelStatusRequest(Message):
        model_spec: model_pb2.ModelSpec
        def __init__(self, *, model_spec: model_pb2.ModelSpec = ...) -> None: ...

    class ModelVersionStatus(Message):
        version: int
        state: int
        status: status_pb2.StatusProto

    class GetModelStatusResponse(Message):
        model_version_status: Messages[get_model_status_pb2.ModelVersionStatus]

class get_model_metadata_pb2:
    class SignatureDefMap(Message):
        signature_def: MessageMap[str, meta_graph_pb2.SignatureDef]
        def __init__(self, *, signature_def: Mapping[str, meta_graph_pb2.SignatureDef] = ...) -> None: ...

    class GetModelMetadataRequest(Message):
        model_spec: model_pb2.ModelSpec
        metadata_field: Values[str]
        def __init__(self, *, model_spec: model_pb2.ModelSpec = ..., metadata_field: Iterable[str] = ...) -> None: ...

    class GetModelMetadataResponse(Message):
        model_spec: model_pb2.ModelSpec
        metadata: MessageMap[str, any_pb2.Any]

class file_system_storage_path_source_pb2:
    class FileSystemStoragePathSourceConfig(Message):
        class ServableVersionPolicy(Message):
            class Latest(Message):
                num_versions: int

            class All(Message): ...

            class Specific(Message):
                versions: Values[int]

            latest: file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest
            all: file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy.All
            specific: (
                file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific
            )

class model_server_config_pb2:
    MODEL_TYPE_UNSPECIFIED: int
    TENSORFLOW: int
    class ModelConfig(Message):
        name: str
        base_path: str
        model_type: int
        model_platform: str
        model_version_policy: (
            file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
        )
        version_labels: ScalarMap[str, int]

    class ModelConfigList(Message):
        config: Messages[model_server_config_pb2.ModelConfig]

    class ModelServerConfig(Message):
        model_config_list: model_server_config_pb2.ModelConfigList
        custom_model_config: any_pb2.Any

class model_management_pb2:
    class ReloadConfigRequest(Message):
        config: model_server_config_pb2.ModelServerConfig
        metric_names: Values[str]
        def __init__(
            self, *, config: model_server_config_pb2.ModelServerConfig = ..., metric_names: Iterable[str] = ...
        ) -> None: ...

    class Metric(Message):
        name: str
        int64_value_increase: int

    class ReloadConfigResponse(Message):
        status: status_pb2.StatusProto
        metric: Messages[model_management_pb2.Metric]
        def __init__(
            self,
            *,
            status: status_pb2.StatusProto | Mapping[str, int] = ...,
            metric: Iterable[model_management_pb2.Metric] = ...,
        ) -> None: ...

class prediction_log_pb2:
    class ClassifyLog(Message):
        request: classification_pb2.ClassificationRequest
        response: classification_pb2.ClassificationResponse

    class RegressLog(Message):
        request: regression_pb2.RegressionRequest
        response: regression_pb2.RegressionResponse

    class PredictLog(Message):
        request: predict_pb2.PredictRequest
        response: predict_pb2.PredictResponse
        def __init__(
            self, *, request: predict_pb2.PredictRequest = ..., response: predict_pb2.PredictResponse = ...
        ) -> None: ...

    class MultiInferenceLog(Message):
        request: inference_pb2.MultiInferenceRequest
        response: inference_pb2.MultiInferenceResponse

    class PredictionLog(Message):
        classify_log: prediction_log_pb2.ClassifyLog
        regress_log: prediction_log_pb2.RegressLog
        predict_log: prediction_log_pb2.PredictLog
        multi_inference_log: prediction_log_pb2.MultiInferenceLog
        def __init__(
            self,
            *,
            classify_log: prediction_log_pb2.ClassifyLog = ...,
            regress_log: prediction_log_pb2.RegressLog = ...,
            predict_log: prediction_log_pb2.PredictLog = ...,
            multi_inference_log: prediction_log_pb2.MultiInferenceLog = ...,
        ) -> None: ...

class model_service_pb2_grpc:
    class ModelServiceStub:
        GetModelStatus: grpc.UnaryUnaryMultiCallable[
            get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse
        ]
        HandleReloadConfigRequest: grpc.UnaryUnaryMultiCallable[
            model_management_pb2.ReloadConfigRequest, model_management_pb2.ReloadConfigResponse
        ]
        def __init__(self, channel: grpc.Channel) -> None: ...

class prediction_service_pb2_grpc:
    class PredictionServiceStub:
        Classify: grpc.UnaryUnaryMultiCallable[
            classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse
        ]
        Regress: grpc.UnaryUnaryMultiCallable[regression_pb2.RegressionRequest, regression_pb2.RegressionResponse]
        Predict: grpc.UnaryUnaryMultiCallable[predict_pb2.PredictRequest, predict_pb2.PredictResponse]
        MultiInference: grpc.UnaryUnaryMultiCallable[
            inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse
        ]
        GetModelMetadata: grpc.UnaryUnaryMultiCallable[
            get_model_metadata_pb2.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataResponse
        ]
        def __init__(self, channel: grpc.Channel) -> None: ...
