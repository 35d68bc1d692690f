"""What is sent to a gateway and what comes back, as values: no connection is needed to build or to read them.

    arrays ──build_predict──▶ Request (V1: JSON in columns)     Response ──parse_predict──▶ arrays
    arrays ──build_infer────▶ Request (V2: raw bytes)           Response ──parse_infer────▶ arrays

A response other than 200 raises the error of `serving/errors.py` that it stands for, with the server's own words.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from google.protobuf import json_format

from signet.clients.client import values
from signet.clients.client.calls import Version, VersionSelector
from signet.serving.errors import BadGateway, Internal, InvalidInput, ServingError, TooLarge, from_code
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import get_model_metadata_pb2
from signet.serving.tensors.signature import DEFAULT, Signature, TensorSpec, as_html, from_signature_def, internal

TIMEOUT_HEADER = "X-Request-Timeout"
"""Seconds that the caller waits: the server gives up then, too."""
_QUOTED_CHARACTERS = 200
_LONGEST_NUMBER = 9
_DTYPES = {dtype.name: dtype for dtype in dtypes.ROWS}
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Request:
    """A request to the gateway, as it is to be sent."""

    method: str
    path: str
    timeout_s: float
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Response:
    """A response of the gateway, as it came."""

    status: int
    body: bytes
    version: int | None = None
    """The version of the model that answered, where the server says so."""
    retry_after_s: float | None = None
    """When to come back, where a busy server says so."""
    request_id: str = ""
    """What the server calls the request, where it says so."""
    json_bytes: int | None = None
    """How many bytes of the body are JSON, where tensors come after it as raw bytes."""


@dataclass(frozen=True)
class Model:
    """A model that is served, as `Client.models` lists it."""

    name: str
    versions: tuple[int, ...]
    """The versions that answer, the highest first; it is the one that calls without a version get."""
    signatures: Mapping[str, Signature]
    """The signatures of the highest version, by name."""
    problem: str = ""
    """Why no version answers; empty when one does."""

    def __repr__(self) -> str:
        return f"<Model {self._title}{''.join(f'; {one}' for one in self.signatures.values())}>"

    def _repr_html_(self) -> str:
        return as_html(self.signatures.values(), self._title)

    @property
    def _title(self) -> str:
        versions = f"versions {', '.join(map(str, self.versions))}" if self.versions else f"no version: {self.problem}"
        return f"{self.name}, {versions}"


# Pure: requests and what their responses say


def build_predict(
    model: str,
    arrays: Arrays,
    *,
    selector: VersionSelector = None,
    signature: str = DEFAULT,
    outputs: Collection[str] = (),
    timeout_s: float,
) -> Request:
    """A predict request in columns, of arrays that were held against the signature. outputs: those wanted; none: all."""
    inputs = {name: values.to_json(name, array) for name, array in arrays.items()}
    wanted = {"output_filter": list(outputs), "named_outputs": True} if outputs else {}
    body = values.dumps({"signature_name": signature, **wanted, "inputs": inputs})
    return Request("POST", f"{path_of(model, selector)}:predict", timeout_s, body, time_limit(timeout_s))


def parse_predict(response: Response, signature: Signature, wanted: Collection[str] = ()) -> Arrays:
    """The outputs by name, in the signature's dtypes. A single output may come without its name, which is known here."""
    outputs = document_of(response).get("outputs")
    expected = [name for name in signature.outputs if not wanted or name in wanted]
    if len(signature.outputs) == 1 and not wanted:
        outputs = {expected[0]: outputs}
    if not isinstance(outputs, dict) or not outputs.keys() >= set(expected):
        raise Internal(f"the answer does not have the outputs of signature {signature.name!r}: {quoted(response)}")
    has_booleans = b"true" in response.body or b"false" in response.body
    try:
        return {
            name: values.from_json(signature.outputs[name], outputs[name], has_booleans=has_booleans)
            for name in expected
        }
    except InvalidInput as error:
        raise Internal(f"the answer does not fit signature {signature.name!r}: {error}") from error


def build_metadata(model: str, selector: VersionSelector, timeout_s: float) -> Request:
    """The question for the signatures of a version; None: the one that calls without a version get."""
    return Request("GET", f"{path_of(model, selector)}/metadata", timeout_s)


def parse_metadata(response: Response) -> Version:
    """The signatures, those that can be called."""
    document = document_of(response)
    try:
        packed = json_format.ParseDict(
            document["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap(), ignore_unknown_fields=True
        )
        signatures = {
            name: from_signature_def(name, proto) for name, proto in packed.signature_def.items() if not internal(name)
        }
        spec = document["model_spec"]
        return Version(spec["name"], int(spec["version"]), signatures, str(document.get("digest", "")))
    except (KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise Internal(f"the answer does not describe a model: {quoted(response)}") from error


def build_models(timeout_s: float) -> Request:
    """The question for all that is served."""
    return Request("GET", "/v1/models", timeout_s)


def parse_models(response: Response) -> list[Model]:
    """Every served model with its versions and signatures."""
    document = document_of(response)
    try:
        return [
            Model(
                name=details["name"],
                versions=tuple(details["versions"]),
                signatures={
                    name: Signature(name, _specs(described["inputs"]), _specs(described["outputs"]))
                    for name, described in details["signatures"].items()
                },
                problem=details.get("error", ""),
            )
            for details in document["details"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Internal(f"the answer is not a list of models: {quoted(response)}") from error


def build_ready(timeout_s: float) -> Request:
    """The question whether every model answers."""
    return Request("GET", "/readyz", timeout_s)


def parse_ready(response: Response) -> str:
    """What keeps the server from being ready; empty when it is."""
    if response.status == HTTPStatus.OK:
        return ""
    try:
        document = values.loads(response.body)
        if document["draining"]:
            return "it is stopping"
        return f"no version yet of {', '.join(map(repr, document['missing']))}"
    except (KeyError, TypeError, ValueError):
        return f"it answers {response.status} to /readyz"


def failure(response: Response) -> ServingError | None:
    """The error that a response stands for; None for a good one."""
    return None if response.status == HTTPStatus.OK else error_of(response)


def error_of(response: Response) -> ServingError:
    """The error that a response other than 200 stands for, in the server's words."""
    error = _error_of(response)
    error.request_id = response.request_id
    return error


def _error_of(response: Response) -> ServingError:
    try:
        message = values.loads(response.body)["error"]
    except (KeyError, TypeError, ValueError):
        message = None
    if not isinstance(message, str):
        message = f"the server answers {response.status}, and not as a gateway does: {quoted(response)}"
    if response.status == TooLarge.http_status:
        return TooLarge(message)
    if response.status == BadGateway.http_status:
        return BadGateway(message)
    error = from_code(_CODES.get(response.status, "INTERNAL"), message)
    error.retry_after_s = response.retry_after_s
    return error


def retry_after_s(text: str, now: float) -> float | None:
    """Seconds until the time that a header Retry-After tells, as a number or a date; None for what is neither.

    now: seconds since the epoch.
    """
    if text.isdecimal():
        return float(text[:_LONGEST_NUMBER])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def path_of(model: str, selector: VersionSelector, root: str = "/v1/models/", label: str = "/labels/") -> str:
    """The path of a model, of one of its versions, or of what a label stands for."""
    if not re.fullmatch(r"[^/:]+", model) or model in (".", ".."):
        raise InvalidInput(f"the model's name is {model!r}; expected one without '/' and ':'")
    if isinstance(selector, str):
        if not re.fullmatch(r"[^/:]+", selector) or selector in (".", ".."):
            raise InvalidInput(f"the label is {selector!r}; expected one without '/' and ':'")
        return f"{root}{quote(model, safe='')}{label}{quote(selector, safe='')}"
    return f"{root}{quote(model, safe='')}" + ("" if selector is None else f"/versions/{selector}")


def time_limit(timeout_s: float) -> tuple[tuple[str, str], ...]:
    """The header that tells the server how long the caller waits."""
    return ((TIMEOUT_HEADER, f"{timeout_s:.3f}"),) if timeout_s and math.isfinite(timeout_s) else ()


def document_of(response: Response) -> dict[str, Any]:
    """The JSON object of a response. Raises the error that another response stands for."""
    if response.status != HTTPStatus.OK:
        raise error_of(response)
    try:
        document = values.loads(response.body)
    except ValueError as error:
        raise Internal(f"the answer is not JSON: {quoted(response)}") from error
    if not isinstance(document, dict):
        raise Internal(f"the answer is not an object: {quoted(response)}")
    return document


def _specs(described: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(name, tensor["dtype"], tensor["shape"]) for name, tensor in described.items()}


def _spec(name: str, dtype: str | None, shape: list[int] | None) -> TensorSpec:
    return TensorSpec(
        name,
        _DTYPES[dtype] if dtype else None,
        None if shape is None else tuple(None if size < 0 else size for size in shape),
        "",
    )


def quoted(response: Response) -> str:
    """The beginning of a response, for messages."""
    text = response.body.decode(errors="replace")
    return repr(text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…")
