"""Who counts as one caller, over HTTP and over gRPC."""

import pytest

from signet.serving.process.ports import address_in, address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711", address_of(("192.0.2.1", 1))),
        ("ipv6:%5B2001:db8::1%5D:4711", address_of(("2001:db8::2", 1))),
        ("ipv6:[2001:db8::1]:4711", address_of(("2001:db8::1", 1))),
        ("ipv6:%5B::1%5D:4711", address_of(("::1", 1))),
        ("unix:", ""),
        ("unix:/tmp/socket", ""),
        ("", ""),
        ("ipv6:%5Bno:address%5D:1", "ipv6:%5Bno:address%5D:1"),
    ],
)
def test_a_peer_over_grpc_is_the_same_caller_as_over_http(peer, address):
    assert address_in(peer) == address


def test_addresses_of_one_ipv6_network_are_one_caller():
    assert address_in("ipv6:%5B2001:db8::1%5D:1") == address_in("ipv6:%5B2001:db8::ffff:1%5D:2")
    assert address_in("ipv6:%5B2001:db8:0:1::1%5D:1") != address_in("ipv6:%5B2001:db8::1%5D:1")
