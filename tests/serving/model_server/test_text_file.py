"""Configuration in text files: what is refused, and where its reason stands."""

import pytest

from signet.serving.errors import InvalidInput, NotFound
from signet.serving.model_server import text_file

GOOD = "name: 'm' base_path: '/m' model_platform: 'tensorflow'"


def test_the_models_of_a_file(tmp_path):
    file = tmp_path / "models.config"
    file.write_text(
        f"model_config_list {{ config {{ {GOOD} }} config {{ name: 'n' base_path: '/n' model_type: TENSORFLOW }} }}"
    )
    assert [model.name for model in text_file.models(file)] == ["m", "n"]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (f"{GOOD} logging_config {{}}", "No request-logger-creator provided."),
        (f"{GOOD} model_type: TENSORFLOW", "Illegal setting both ModelServerConfig::model_type (deprecated)"),
        ("name: 'm' base_path: '/m' model_type: OTHER", "ModelServerConfig::model_type choice 2 not supported."),
        ("name: 'm' base_path: 'm'", "Expected model m to have an absolute path or URI; got base_path()=m"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path, config, problem):
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{ config {{ {config} }} }}")
    with pytest.raises(InvalidInput) as caught:
        text_file.models(file)
    assert str(caught.value).startswith(problem)


def test_the_reason_of_a_broken_file_is_logged(tmp_path, caplog):
    file = tmp_path / "models.config"
    file.write_text("model_config_list { oops }")
    with pytest.raises(InvalidInput) as caught:
        text_file.models(file)
    assert str(caught.value) == f"Invalid protobuf file: '{file}'"
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:21" in caplog.text
    with pytest.raises(NotFound, match="No such file or directory"):
        text_file.models(tmp_path / "none")
