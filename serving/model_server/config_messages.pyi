"""Types of the messages in `config_messages.py`, which come into being when it is imported."""

from google.protobuf.internal.containers import RepeatedScalarFieldContainer
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, Int64Value, StringValue

class BatchingParameters(Message):
    max_batch_size: Int64Value
    batch_timeout_micros: Int64Value
    max_enqueued_batches: Int64Value
    num_batch_threads: Int64Value
    thread_pool_name: StringValue
    allowed_batch_sizes: RepeatedScalarFieldContainer[int]
    pad_variable_length_inputs: bool
    enable_large_batch_splitting: BoolValue
    max_execution_batch_size: Int64Value

class SSLConfig(Message):
    server_key: str
    server_cert: str
    custom_ca: str
    client_verify: bool

class PrometheusConfig(Message):
    enable: bool
    path: str

class MonitoringConfig(Message):
    prometheus_config: PrometheusConfig
