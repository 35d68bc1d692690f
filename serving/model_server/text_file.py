"""Protobuf messages as text files, which is how TensorFlow Serving is configured."""

from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.errors import InvalidInput, NotFound


def read(file: Path, message: Any) -> Any:
    """The message, filled from the file. Raises `NotFound` and `InvalidInput`, the latter with protobuf's own line."""
    try:
        return text_format.Parse(file.read_text(), message)
    except FileNotFoundError as error:
        raise NotFound(f"{file}; No such file or directory") from error
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        kind = message.DESCRIPTOR.full_name
        raise InvalidInput(f"Invalid protobuf file: '{file}': Error parsing text-format {kind}: {error}") from error
