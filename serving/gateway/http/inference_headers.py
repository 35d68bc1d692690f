"""What the path and the headers of an inference request over HTTP ask for, in every REST dialect.

X-Request-Timeout: 0.5        seconds the answer may take
X-Signet-Batching: off        no other request shares the call
X-Signet-Job: …               the version that is named stays loaded for a while
"""

from signet.serving.errors import InvalidInput
from signet.serving.gateway.core.inference import InferenceRequest, timeout_s
from signet.serving.http.server import Request


def request_from_headers(
    request: Request,
    model: str,
    version: int | None,
    label: str | None,
    signature_name: str,
    limit_s: float | None = None,
) -> InferenceRequest:
    """limit_s: what the body says of the time; the shorter one holds. Raises `InvalidInput` for wrong headers."""
    headers = request.headers
    header = headers.get(b"x-request-timeout")
    if header is not None:
        said_s = timeout_s(header.decode("latin-1"))
        limit_s = said_s if limit_s is None else min(limit_s, said_s)
    return InferenceRequest(
        model, version, label, signature_name, limit_s, _joined(headers), b"x-signet-job" in headers
    )


def _joined(headers: dict[bytes, bytes]) -> bool:
    value = headers.get(b"x-signet-batching", b"on").lower()
    if value not in (b"on", b"off"):
        raise InvalidInput(f"X-Signet-Batching is {value[:40].decode('latin-1')!r}; expected on or off")
    return value == b"on"
