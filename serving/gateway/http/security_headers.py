"""Security headers: what browsers are told about answers that they might show, be it a page or JSON.

    an answer of FastAPI, a refusal ──security_headers──▶ no guessing of types, no frames, no referrer, nothing from elsewhere

Inferences get `NOSNIFF` alone: programs read them, and each byte is sent with every answer.
"""

from signet.serving.http.messages import Request, Response

NOSNIFF = b"X-Content-Type-Options: nosniff\r\n"

_ALL = NOSNIFF + b"X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n"
_DEVICES = b"permissions-policy: "
_NO_DEVICES = b"Permissions-Policy: camera=(), geolocation=(), microphone=(), payment=(), usb=()\r\n"
"""For all but the page that says itself what it may use: it takes pictures."""
_POLICY = b"content-security-policy: "
_NOTHING = (
    b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n"
)
"""For answers that need nothing to be shown; the pages that do bring a policy of their own."""

_TLS_ONLY = b"Strict-Transport-Security: max-age=31536000\r\n"
_LOOPBACK = (b"localhost", b"127.", b"[::1]")
"""A browser that is told by one of these to use TLS alone would do so for every other server on its machine."""


def security_headers(request: Request, response: Response, tls: bool) -> bytes:
    """The headers for an answer that is no inference's, as complete lines. tls: whether the port speaks it."""
    brought = response.headers.lower()
    headers = _ALL
    if _DEVICES not in brought:
        headers += _NO_DEVICES
    if _POLICY not in brought:
        headers += _NOTHING
    if tls and not request.headers.get(b"host", b"").lower().startswith(_LOOPBACK):
        headers += _TLS_ONLY
    return headers
