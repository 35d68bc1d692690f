"""Certificates and keys: what is wrong with them is said, and what is agreed on is what it should be."""

import re
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.tls import certificate_dates
from signet.serving.tls.credentials import HTTP1, HTTP2, Credentials, client_context, server_context
from tests.certificates import DAY, Authority

AUTHORITY = Authority()
PEM, KEY = AUTHORITY.signed()
OTHER, OTHER_KEY = AUTHORITY.signed()
EXPIRED, EXPIRED_KEY = AUTHORITY.signed(begins=-3 * DAY, ends=-DAY)
EARLY, EARLY_KEY = AUTHORITY.signed(begins=DAY, ends=2 * DAY)


def credentials(certificate=PEM, key=KEY, roots=None):
    return Credentials(certificate, key, roots, "c.pem", "k.pem", "r.pem")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (credentials(key=OTHER_KEY), "k.pem is not the key of the certificate in c.pem"),
        (credentials(key=AUTHORITY.signed(password=b"x")[1]), "k.pem is encrypted; expected a private key without a"),
        (credentials(key=b""), "k.pem holds no private key in PEM"),
        (credentials(key=PEM), "k.pem holds no private key in PEM"),
        (credentials(KEY), "c.pem holds no certificate in PEM"),
        (credentials(PEM[: len(PEM) // 2]), "c.pem and k.pem cannot be used: "),
        (credentials(key=KEY[: len(KEY) // 2]), "c.pem and k.pem cannot be used: "),
        (credentials(PEM.replace(b"M", b"N")), "c.pem and k.pem cannot be used: "),
        (credentials(roots=b"no roots"), "r.pem holds no certificates in PEM: "),
        (credentials(b""), "c.pem holds no certificate in PEM"),
        (credentials(roots=b""), "r.pem holds no certificates in PEM: "),
        (credentials(roots=b"\xff"), "r.pem holds no certificates in PEM: "),
    ],
)
def test_what_cannot_be_used_is_named(wrong, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        server_context(wrong, HTTP1)


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        ((PEM, KEY), ""),
        ((EXPIRED, EXPIRED_KEY), "c.pem has expired at "),
        ((EARLY, EARLY_KEY), "c.pem is not valid before "),
        ((PEM + EXPIRED, KEY), "c.pem has expired at "),
        ((None, b""), ""),
    ],
)
def test_what_callers_will_hold_against_a_certificate(pair, problem):
    assert bool(problem) == bool(credentials(*pair).problem())
    assert credentials(*pair).problem().startswith(problem)


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(1), 400 * DAY),
)
def test_dates_are_those_of_the_certificate(begin, lasts):
    """Also from 2050 on, where they are written in another way."""
    pem, _ = AUTHORITY.signed(begins=begin - datetime.now(UTC), ends=begin + lasts - datetime.now(UTC))
    certificate, dates = x509.load_pem_x509_certificate(pem), certificate_dates.of_chain(pem)
    assert dates.begins_s == certificate.not_valid_before_utc.timestamp()
    assert dates.ends_s == certificate.not_valid_after_utc.timestamp()


def test_a_chain_is_valid_while_all_of_it_is():
    dates = certificate_dates.of_chain(PEM + EXPIRED)
    assert dates.ends_s < time.time() < certificate_dates.of_chain(PEM).ends_s


@given(st.binary(max_size=300), st.integers(0, 200))
def test_what_is_no_certificate_has_no_dates(noise, cut):
    der = ssl.PEM_cert_to_DER_cert(PEM.decode())[:cut] + noise
    try:
        certificate_dates.of_chain(ssl.DER_cert_to_PEM_cert(der).encode())
    except ValueError:
        return


def test_servers_and_clients_agree_on_1_2_or_newer_with_forward_secrecy():
    for context in (server_context(credentials(), HTTP2), client_context(Credentials(roots=AUTHORITY.pem), HTTP2)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION
        ciphers = {cipher["name"] for cipher in context.get_ciphers()}
        assert all(name.startswith(("TLS_", "ECDHE-")) for name in ciphers)
        assert not [name for name in ciphers if "CBC" in name or "SHA1" in name or name.endswith("-SHA")]


def test_clients_certificates_are_asked_for_where_there_are_roots_for_them():
    assert server_context(credentials(), HTTP1).verify_mode is ssl.CERT_NONE
    assert server_context(credentials(roots=AUTHORITY.pem), HTTP1).verify_mode is ssl.CERT_REQUIRED


def test_clients_trust_the_roots_alone_and_look_at_names():
    context = client_context(Credentials(roots=AUTHORITY.pem), HTTP2)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509"] == 1


def test_keys_are_in_no_message():
    assert "PRIVATE" not in repr(credentials())
