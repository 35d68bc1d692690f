import pytest
from google.protobuf import text_format

from examples import first_run
from signet.serving.model_server.config_messages import BatchingParameters, MonitoringConfig
from signet.serving.models import model_config
from signet.serving.tensors.protos import model_server_config_pb2
from tests.servers import ROOT

FOLDER = ROOT / "deploy/tf-serving"
FILES = {
    "models.config": model_server_config_pb2.ModelServerConfig,
    "batching.config": BatchingParameters,
    "monitoring.config": MonitoringConfig,
    "gpu/batching.config": BatchingParameters,
}


def parse(name):
    return text_format.Parse((FOLDER / name).read_text(), FILES[name]())


def test_every_file_has_a_message():
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.config")} == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_message_and_says_something(name):
    assert parse(name).ByteSize() > 0


@pytest.mark.parametrize("name", FILES)
def test_a_misspelt_field_is_refused(name):
    with pytest.raises(text_format.ParseError, match="no field named"):
        text_format.Parse("max_bach_size { value: 4 }", FILES[name]())


def test_the_models_are_those_that_make_run_trains():
    models = parse("models.config").model_config_list.config
    assert tuple(model.name for model in models) == first_run.NAMES
    for model in models:
        assert (ROOT / "training" / "models" / f"{model.name}.py").is_file()
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"
        assert not model.HasField("logging_config"), "the stock server ends with 'No request-logger-creator provided.'"


def test_the_gateway_reads_the_models_too():
    assert [model.name for model in model_config.read(FOLDER / "models.config")] == [
        model.name for model in parse("models.config").model_config_list.config
    ]


@pytest.mark.parametrize("name", ["batching.config", "gpu/batching.config"])
def test_batching_gives_the_threads_and_leaves_the_rest_to_each_version(name):
    parameters = parse(name)
    assert [field.name for field, _ in parameters.ListFields()] == ["num_batch_threads"]
    assert parameters.num_batch_threads.value > 0


def test_prometheus_is_on():
    assert parse("monitoring.config").prometheus_config.enable
