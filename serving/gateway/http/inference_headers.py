"""What the headers of an inference request over HTTP say, in every REST dialect.

X-Request-Timeout: 0.5        seconds the answer may take: its deadline
X-Signet-Batching: off        no other request shares the call
X-Signet-Job: …               the version that is named stays loaded for a while
"""

import math

from signet.serving.errors import InvalidInput
from signet.serving.gateway.core.inference import InferenceRequest
from signet.serving.http.server import Request


def timeout_s(headers: dict[bytes, bytes]) -> float | None:
    """The seconds that a request may take, if its headers limit them. Raises `InvalidInput`."""
    header = headers.get(b"x-request-timeout")
    if header is None:
        return None
    text = header.decode("latin-1")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidInput(f"the time limit is {text[:40]!r}; expected a positive number of seconds")
    return seconds


def request_from_headers(
    request: Request, model: str, version: int | None, label: str | None, signature_name: str
) -> InferenceRequest:
    """What a request wants of the model that its path names. Raises `InvalidInput` for wrong headers."""
    headers = request.headers
    return InferenceRequest(model, version, label, signature_name, _joined(headers), b"x-signet-job" in headers)


def _joined(headers: dict[bytes, bytes]) -> bool:
    value = headers.get(b"x-signet-batching", b"on").lower()
    if value not in (b"on", b"off"):
        raise InvalidInput(f"X-Signet-Batching is {value[:40].decode('latin-1')!r}; expected on or off")
    return value == b"on"
