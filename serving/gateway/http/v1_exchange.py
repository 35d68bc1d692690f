"""Which exchange answers a request of TensorFlow Serving's REST dialect.

path, Content-Type, Accept ──▶ PredictExchange: JSON both ways, as most of the time
                           ──▶ TablesExchange: any body and any answer              ──▶ ExamplesExchange: classify, regress
"""

import re

from signet.serving.gateway.http.body_types import USUAL_SENT, USUAL_WANTED
from signet.serving.gateway.http.pipeline import HttpExchange, HttpServices
from signet.serving.gateway.http.tables import TablesExchange
from signet.serving.gateway.http.v1 import ExamplesExchange, PredictExchange
from signet.serving.http.messages import Reply, Request


def exchange(services: HttpServices, match: re.Match[bytes], request: Request, reply: Reply) -> HttpExchange:
    """The exchange of a predict, classify or regress, as the path says. match: of `v1.PATH` with the request's path."""
    if match[5] != b"predict":
        return ExamplesExchange(services, match, request, reply)
    headers = request.headers
    if headers.get(b"content-type") in USUAL_SENT and headers.get(b"accept") in USUAL_WANTED:
        return PredictExchange(services, match, request, reply)
    return TablesExchange(services, match, request, reply)
