"""What gRPC's channel arguments mean for our own server."""

import pytest

from signet.serving.errors import UsageError
from signet.serving.grpc_transport import channel_arguments
from signet.serving.grpc_transport.server_limits import ServerLimits

LIMITS = ServerLimits(1000, idle_s=5.0)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("grpc.max_receive_message_length=77", {"message_bytes": 77}),
        ("grpc.max_receive_message_length=-1", {"message_bytes": (1 << 32) - 1}),
        ("grpc.max_concurrent_streams=3,grpc.max_metadata_size=99", {"connection_calls": 3, "metadata_bytes": 99}),
        ("grpc.max_connection_age_ms=2500,grpc.max_connection_age_grace_ms=1", {"age_s": 2.5, "age_grace_s": 0.001}),
        ("grpc.max_connection_idle_ms=2147483647", {"idle_s": None}),
        ("grpc.keepalive_time_ms=10,grpc.keepalive_timeout_ms=20", {"keepalive_s": 0.01, "keepalive_answer_s": 0.02}),
        ("grpc.server_handshake_timeout_ms=1000", {"handshake_s": 1.0}),
    ],
)
def test_what_there_is_becomes_a_limit(text, changed):
    limits, unused = channel_arguments.applied(LIMITS, channel_arguments.parse(text))
    assert unused == []
    assert {name: getattr(limits, name) for name in changed} == changed
    assert changed or limits == LIMITS


def test_what_has_no_meaning_is_named():
    _, unused = channel_arguments.applied(LIMITS, channel_arguments.parse("grpc.so_reuseport=1,b=c"))
    assert unused == ["grpc.so_reuseport", "b"]


@pytest.mark.parametrize(
    ("text", "told"), [("a", "'a' has no value"), ("grpc.max_connection_age_ms=soon", "expected a whole number")]
)
def test_what_cannot_be_read_is_named(text, told):
    with pytest.raises(UsageError, match=told):
        channel_arguments.applied(LIMITS, channel_arguments.parse(text))
