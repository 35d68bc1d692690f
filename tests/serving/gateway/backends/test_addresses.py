"""What stands in the setting, and the addresses of a name."""

import asyncio
import socket

import pytest

from signet.serving.errors import UsageError
from signet.serving.gateway.backends.addresses import Address, Name, parse


def test_each_form_is_understood_and_said_once():
    assert parse(["a:8500", "dns:///b.c:8501", "unix:/run/s", "[::1]:9000", "dns:///[::1]:9", "a:8500"]) == [
        Address("a:8500"),
        Name("b.c", 8501),
        Address("unix:/run/s", "localhost"),
        Address("[::1]:9000"),
        Name("::1", 9),
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("localhost", "'localhost' is not HOST:PORT"),
        (":8500", "is not HOST:PORT"),
        ("http://a:8500", "is not HOST:PORT"),
        ("dns://8.8.8.8/a:8500", "is not HOST:PORT, dns:///HOST:PORT or unix:PATH"),
        ("::1:8500", "is not HOST:PORT"),
        ("a:http", "has the port 'http'; expected a number from 1 to 65535"),
        ("a:0", "has the port '0'"),
        ("dns:///a:65536", "has the port '65536'"),
        ("unix:", "names no socket; expected unix:PATH"),
    ],
)
def test_wrong_entries_are_named(entry, problem):
    with pytest.raises(UsageError) as caught:
        parse([entry])
    assert problem in str(caught.value)


def test_a_name_is_every_address_it_has(monkeypatch):
    assert "127.0.0.1:8500" in [address.target for address in asyncio.run(Name("localhost", 8500).resolve())]

    def many(host, port, *_, **__):
        hosts = ["10.0.0.2", "10.0.0.1", "10.0.0.2"]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]
        return [*found, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", many)
    assert asyncio.run(Name("service", 8500).resolve()) == [
        Address("10.0.0.1:8500", "service"),
        Address("10.0.0.2:8500", "service"),
        Address("[fd00::1]:8500", "service"),
    ]


def test_a_name_without_addresses_is_an_error():
    with pytest.raises(OSError, match=r"Name or service not known|No address associated|Temporary failure"):
        asyncio.run(Name("nobody.invalid", 8500).resolve())
