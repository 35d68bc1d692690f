"""Which models are served and which of their versions: TensorFlow Serving's model config file.

Source of the text format: `model_server_config.proto`, `file_system_storage_path_source.proto`.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format

from signet.serving.errors import UsageError
from signet.serving.tensors.protos import file_system_storage_path_source_pb2, model_server_config_pb2

_Policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy


@dataclass(frozen=True)
class VersionPolicy:
    """Which versions on disk are wanted: the highest `latest`, or every one, or those named in `specific`."""

    latest: int = 1
    every: bool = False
    specific: frozenset[int] = frozenset()

    def choose(self, versions: AbstractSet[int]) -> set[int]:
        if self.every:
            return set(versions)
        if self.specific:
            return set(versions & self.specific)
        return set(sorted(versions, reverse=True)[: self.latest])


@dataclass(frozen=True)
class ModelConfig:
    """A model to serve and the folder of its versions."""

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, int] = field(default_factory=dict)
    """Names for versions, such as `stable`."""


def read(path: Path) -> list[ModelConfig]:
    """The models of a config file. Raises `UsageError` for what TensorFlow Serving refuses."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the model config file {str(path)!r}: {error}") from error
    try:
        message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise UsageError(
            f"Invalid protobuf file: '{path}': Error parsing text-format tensorflow.serving.ModelServerConfig: {error}"
        ) from error
    return from_proto(message)


def from_proto(message: model_server_config_pb2.ModelServerConfig) -> list[ModelConfig]:
    """A ModelServerConfig message as model configs. Raises `UsageError`."""
    if message.WhichOneof("config") == "custom_model_config":
        raise UsageError("the model config must hold a model_config_list; custom_model_config is not supported")
    models = [_model(config) for config in message.model_config_list.config]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Illegal to list model {name} multiple times in config list")
    return models


def _model(config: model_server_config_pb2.ModelConfig) -> ModelConfig:
    if not config.name:
        raise UsageError("the model config has a model without a name")
    if not Path(config.base_path).is_absolute():
        raise UsageError(
            f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
        )
    _check_platform(config)
    return ModelConfig(
        config.name, Path(config.base_path), _policy(config.model_version_policy), dict(config.version_labels)
    )


def _check_platform(config: model_server_config_pb2.ModelConfig) -> None:
    """In the original's words; `model_type` is the older way to say it."""
    old = config.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED
    if old and config.model_platform:
        raise UsageError(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            f"model name is {config.name}"
        )
    if old and config.model_type != model_server_config_pb2.TENSORFLOW:
        raise UsageError(f"ModelServerConfig::model_type choice {config.model_type} not supported.")
    if not old and not config.model_platform:
        raise UsageError(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            f"model name is {config.name}"
        )
    if not old and config.model_platform != "tensorflow":
        raise UsageError(f"Model {config.name} requests unsupported platform {config.model_platform}")


def _policy(message: _Policy) -> VersionPolicy:
    choice = message.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(every=True)
    if choice == "specific":
        return VersionPolicy(specific=frozenset(message.specific.versions))
    return VersionPolicy(latest=max(1, message.latest.num_versions))
