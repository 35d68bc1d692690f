"""Protobuf messages as text files, which is how TensorFlow Serving is configured.

What is wrong with a file stands on stderr, in protobuf's own line, where people and the original's suite look for it.
"""

import logging
from pathlib import Path

from google.protobuf import text_format

from signet.serving.errors import InvalidInput, NotFound, UsageError
from signet.serving.grpc_dialect.messages import M
from signet.serving.models import model_config
from signet.serving.models.model_config import ModelConfig
from signet.serving.tensors.protos import model_server_config_pb2

log = logging.getLogger(__name__)


def models(file: Path) -> list[ModelConfig]:
    """The models of a model config file. Raises `NotFound` and `InvalidInput`."""
    message = read(file, model_server_config_pb2.ModelServerConfig())
    try:
        configured = model_config.from_proto(message)
    except UsageError as error:
        raise InvalidInput(str(error)) from error
    refuse_logging(message)
    return configured


def refuse_logging(message: model_server_config_pb2.ModelServerConfig) -> None:
    """Raise `InvalidInput` for a ModelServerConfig that wants requests logged: the stock server has nothing to do it."""
    if any(config.HasField("logging_config") for config in message.model_config_list.config):
        raise InvalidInput("No request-logger-creator provided.")


def read(file: Path, message: M) -> M:
    """The message, filled from the file. Raises `NotFound` and `InvalidInput`."""
    try:
        return text_format.Parse(file.read_text(), message)
    except FileNotFoundError as error:
        raise NotFound(f"{file}; No such file or directory") from error
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        log.error("Error parsing text-format %s: %s", message.DESCRIPTOR.full_name, error)
        raise InvalidInput(f"Invalid protobuf file: '{file}'") from error
