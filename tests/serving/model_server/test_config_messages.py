import ast
from pathlib import Path

import pytest
from google.protobuf import text_format

from signet.serving.model_server import config_messages
from signet.serving.model_server.config_messages import BatchingParameters, MonitoringConfig


def test_every_batching_parameter_is_read():
    text = """
        max_batch_size { value: 8 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 100 }
        num_batch_threads { value: 4 }
        thread_pool_name { value: "batch_threads" }
        allowed_batch_sizes: 4
        allowed_batch_sizes: 8
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 8 }
    """
    parameters = text_format.Parse(text, BatchingParameters())
    assert parameters.max_batch_size.value == 8
    assert list(parameters.allowed_batch_sizes) == [4, 8]
    assert parameters.thread_pool_name.value == "batch_threads"
    assert len(parameters.ListFields()) == len(parameters.DESCRIPTOR.fields)


def test_a_parameter_of_zero_differs_from_one_that_is_missing():
    parameters = text_format.Parse("batch_timeout_micros { value: 0 }", BatchingParameters())
    assert parameters.HasField("batch_timeout_micros")
    assert not parameters.HasField("max_batch_size")


def test_prometheus_has_a_path():
    config = text_format.Parse('prometheus_config { enable: true path: "/metrics" }', MonitoringConfig())
    assert config.prometheus_config.path == "/metrics"


def test_a_wrong_file_names_the_message_as_tensorflow_serving_does():
    with pytest.raises(text_format.ParseError, match=r"tensorflow\.serving\.BatchingParameters"):
        text_format.Parse("prometheus_config {}", BatchingParameters())


def test_the_stub_states_every_field():
    stub = ast.parse(Path(config_messages.__file__).with_suffix(".pyi").read_text())
    stated = {
        node.name: [line.target.id for line in node.body if isinstance(line, ast.AnnAssign)]
        for node in stub.body
        if isinstance(node, ast.ClassDef)
    }
    assert stated == {
        message: [name.removeprefix("*") for name in fields] for message, fields in config_messages._FIELDS.items()
    }
