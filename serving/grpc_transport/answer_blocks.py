"""The blocks of headers that answers are made of. Most answers are made of constant ones.

head       :status 200, content-type                    trailers   grpc-status 0, trailing metadata
refusal    both in one, as trailers alone: no message comes before it
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus

from signet.serving.grpc_transport import metadata, status
from signet.serving.grpc_transport.calls import REQUEST_ID, Metadata
from signet.serving.h2 import hpack
from signet.serving.h2.hpack import Field

log = logging.getLogger(__name__)

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_OK = (b"grpc-status", b"0")

HEAD = hpack.encode([(b":status", b"200"), _CONTENT_TYPE])
"""Before the first message of an answer."""

_TRAILERS = hpack.encode([_OK])
"""Behind the last one."""

_REQUEST_ID = hpack.literal((REQUEST_ID.encode(), b""))[:-1]

NOTHING = HEAD + _TRAILERS
"""The whole answer of a stream that has ended without a message."""

_MOST_REMEMBERED = 64
_remembered: dict[Metadata, bytes] = {}
"""Trailers by their metadata: what answered brings few different ones, such as a model's version. For the event loop alone."""


def trailers(trailing: Metadata = ()) -> bytes:
    """The block behind the last message of a call that is answered. Quick for a tuple that came before."""
    if not trailing:
        return _TRAILERS
    if type(trailing) is not tuple:
        return hpack.encode([_OK, *_fields(trailing)])
    block = _remembered.get(trailing)
    if block is None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        block = _remembered[trailing] = hpack.encode([_OK, *_fields(trailing)])
    return block


def named(request_id: str) -> bytes:
    """What goes behind the last block of a call that has a name: made for each, as no two are called the same."""
    return _REQUEST_ID + hpack.text(request_id.encode()) if request_id else b""


def failed_trailers(code: str, details: str, trailing: Metadata = ()) -> bytes:
    """The block behind the last message of a call that then fails."""
    return hpack.encode(_status(code, details, trailing))


def refusal(code: str, details: str, trailing: Metadata = (), accepted: Sequence[bytes] = ()) -> bytes:
    """The whole answer of a call that fails before any message. accepted: the encodings to tell of, if any."""
    told = [(b"grpc-accept-encoding", b",".join(accepted))] if accepted else []
    return HEAD + hpack.encode([*told, *_status(code, details, trailing)])


def http_refusal(http_status: HTTPStatus, details: str) -> bytes:
    """The whole answer to what is no call of gRPC; also in gRPC's terms, for those who look at nothing else."""
    fields = [(b":status", b"%d" % http_status), _CONTENT_TYPE]
    return hpack.encode([*fields, *_status("INTERNAL", details, ())])


def _status(code: str, details: str, trailing: Metadata) -> list[Field]:
    fields = [(b"grpc-status", b"%d" % status.NUMBERS[code])]
    if details:
        fields.append((b"grpc-message", status.encode_message(details)))
    return fields + _fields(trailing)


def _fields(trailing: Metadata) -> list[Field]:
    """Without what cannot be sent: whoever handles calls is at fault there, not their callers."""
    try:
        return metadata.to_fields(trailing)
    except ValueError as error:
        log.error("trailing metadata is left out: %s", error)
        return []
