"""Which answers are a server's own status, and which are none of gRPC's."""

import pytest

from signet.serving.errors import BadGateway, Internal, Unavailable
from signet.serving.gateway.backends.upstream_call import translated
from signet.serving.grpc_transport.answer_status import ending_of, head_of, of_reset
from signet.serving.grpc_transport.channels import BrokenAnswer, CallError
from signet.serving.h2 import frames, headers

GRPC = (b"content-type", b"application/grpc")


def of_head(*fields: tuple[bytes, bytes]) -> CallError:
    return head_of(headers.response(list(fields), 0), alone=True).ending.error()


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (of_head((b":status", b"200"), (b"content-type", b"text/html")), "content-type b'text/html'"),
        (of_head((b":status", b"404"), GRPC), "the answer has HTTP status 404"),
        (of_head((b":status", b"500")), "the answer has HTTP status 500"),
        (of_head((b":status", b"200"), GRPC), "without grpc-status"),
        (ending_of(headers.trailers([(b"x", b"y")], 0)).error(), "without grpc-status"),
        (of_reset(frames.PROTOCOL_ERROR, ""), "reset the stream with code 1"),
        (of_reset(frames.PROTOCOL_ERROR, "too long"), "the answer breaks HTTP/2: too long"),
    ],
)
def test_what_is_no_answer_of_grpc_is_502_behind_a_gateway(error, problem):
    assert type(error) is BrokenAnswer
    told = translated(error, "a:8500")
    assert type(told) is BadGateway
    assert str(told).startswith("model server a:8500: ")
    assert problem in str(told)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ending_of(headers.trailers([(b"grpc-status", b"13"), (b"grpc-message", b"a bug")], 0)).error(), Internal),
        (of_head((b":status", b"503")), Unavailable),
        (of_reset(frames.REFUSED_STREAM, ""), Unavailable),
        (of_reset(frames.CANCEL, ""), Unavailable),
    ],
)
def test_a_status_that_the_server_or_a_proxy_has_sent_passes(error, kind):
    assert type(error) is CallError
    assert type(translated(error, "a:8500")) is kind
