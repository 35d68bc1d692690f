"""Status and metadata as JSON, in the layout of TensorFlow Serving: snake_case names, every field, int64 as strings.

Source: `http_rest_api_util.cc`.
"""

import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from signet.serving.tensors.protos import get_model_metadata_pb2, get_model_status_pb2


def encode_status(response: get_model_status_pb2.GetModelStatusResponse) -> bytes:
    """A GetModelStatusResponse."""
    return _encode(_to_dict(response))


def encode_metadata(response: get_model_metadata_pb2.GetModelMetadataResponse) -> bytes:
    """A GetModelMetadataResponse that holds signatures. The doubled `signature_def` is the original's."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec = response.model_spec
    return _encode(
        {
            "model_spec": {"name": spec.name, "version": str(spec.version.value), "signature_name": ""},
            "metadata": {"signature_def": _to_dict(signatures)},
        }
    )


def _to_dict(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _encode(document: dict[str, Any]) -> bytes:
    return f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode()
