"""What a request that asks for it is told of its time: `X-Signet-Timing: on` gets the header Server-Timing.

    read;dur=0.021, decode;dur=0.035, queue;dur=0.002, model;dur=0.410, encode;dur=0.018, total;dur=0.497      milliseconds

The stages are those that metrics are told, as far as the request has come; `total` is from its head to here, and has more in it.
"""

import time

from signet.serving.gateway.observability.request_context import RequestContext

ASKED = b"x-signet-timing"


def wanted(value: bytes) -> bool:
    """Whether a value of the header asks for it."""
    return value.lower() == b"on"


def server_timing(request: RequestContext) -> bytes:
    """The header of a request that is answered now, as a complete line."""
    queue_s, model_s = request.queue_s, request.run_s
    if model_s is not None:
        # A call that has not begun was waited for all the time.
        queue_s, model_s = (model_s, None) if queue_s is None else (queue_s, model_s - queue_s)
    stages_s = {
        "read": request.parse_s,
        "decode": request.decode_s,
        "queue": queue_s,
        "model": model_s,
        "encode": request.encode_s,
        "total": time.perf_counter() - request.started,
    }
    told = ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in stages_s.items() if seconds is not None)
    return b"Server-Timing: %b\r\n" % told.encode()
