"""What browsers are told about pages."""

import pytest

from signet.serving.gateway.http.security_headers import security_headers
from signet.serving.http.messages import Request, Response


def told(host: bytes, tls: bool, headers: bytes = b"") -> bytes:
    request = Request("GET", b"/docs", {b"host": host}, b"", "1.1", True)
    return security_headers(request, Response(200, b"", headers), tls)


def test_tls_is_asked_for_where_there_is_some():
    assert b"Strict-Transport-Security: max-age=31536000\r\n" in told(b"models.example:8443", True)
    assert b"Strict-Transport" not in told(b"models.example:8443", False)


@pytest.mark.parametrize("host", [b"localhost:8080", b"LOCALHOST", b"127.0.0.1:8443", b"[::1]:8443"])
def test_the_other_servers_of_a_machine_are_left_as_they_are(host):
    assert b"Strict-Transport" not in told(host, True)


def test_a_page_that_brings_a_policy_keeps_it():
    assert told(b"a", False).count(b"Content-Security-Policy") == 1
    assert b"Content-Security-Policy" not in told(b"a", False, b"content-security-policy: default-src 'self'\r\n")


def test_only_a_page_that_says_so_may_use_the_camera():
    assert told(b"a", False).count(b"Permissions-Policy: camera=()") == 1
    brought = told(b"a", False, b"permissions-policy: camera=(self)\r\n")
    assert b"Permissions-Policy" not in brought
    assert b"X-Frame-Options: DENY\r\n" in brought
    assert b"Content-Security-Policy" in brought
