"""The messages of TensorFlow Serving's batching, monitoring and SSL files, which its Python package leaves out.

    text_format.Parse(text, BatchingParameters())    --batching_parameters_file, batching_params.pbtxt
    text_format.Parse(text, MonitoringConfig())      --monitoring_config_file
    text_format.Parse(text, SSLConfig())             --ssl_config_file

Names and types are those of `session_bundle_config.proto`, `monitoring_config.proto` and `ssl_config.proto`; field
numbers are ours, since these messages exist as text only. They live in a pool of their own: nothing clashes with a
package that has them. Their types stand in `config_messages.pyi`.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import Message

_BOOL, _INT64, _STRING, _MESSAGE = (
    descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
)

# A field is a plain type, or the name of a message; `*` before a field's name: repeated.
_INT64_VALUE = ".google.protobuf.Int64Value"  # in text: max_batch_size { value: 64 }
_FIELDS: dict[str, dict[str, "str | descriptor_pb2.FieldDescriptorProto.Type.ValueType"]] = {
    "BatchingParameters": {
        "max_batch_size": _INT64_VALUE,
        "batch_timeout_micros": _INT64_VALUE,
        "max_enqueued_batches": _INT64_VALUE,
        "num_batch_threads": _INT64_VALUE,
        "thread_pool_name": ".google.protobuf.StringValue",
        "*allowed_batch_sizes": _INT64,
        "pad_variable_length_inputs": _BOOL,
        "enable_large_batch_splitting": ".google.protobuf.BoolValue",
        "max_execution_batch_size": _INT64_VALUE,
    },
    "SSLConfig": {"server_key": _STRING, "server_cert": _STRING, "custom_ca": _STRING, "client_verify": _BOOL},
    "PrometheusConfig": {"enable": _BOOL, "path": _STRING},
    "MonitoringConfig": {"prometheus_config": ".tensorflow.serving.PrometheusConfig"},
}


def _message_classes() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="signet/config_messages.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for message, fields in _FIELDS.items():
        descriptor = file.message_type.add(name=message)
        for number, (name, kind) in enumerate(fields.items(), 1):
            field = descriptor.field.add(name=name.removeprefix("*"), number=number)
            field.label = field.LABEL_REPEATED if name.startswith("*") else field.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = _MESSAGE, kind
            else:
                field.type = kind
    pool: Any = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        message: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{message}"))
        for message in _FIELDS
    }


_CLASSES = _message_classes()
BatchingParameters = _CLASSES["BatchingParameters"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
SSLConfig = _CLASSES["SSLConfig"]
