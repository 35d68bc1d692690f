"""The SSL config file of the model server, which is followed: what stands in it, whole, is what new connections get."""

import json
import re

import pytest

from signet.serving.errors import UsageError
from signet.serving.model_server.grpc.server import _tls
from tests.certificates import Authority

AUTHORITY = Authority()
ONE, OTHER = AUTHORITY.signed(), AUTHORITY.signed()


def text(pair, **more):
    """The file of the original: PEM as text, in a text proto."""
    given = {"server_cert": pair[0].decode(), "server_key": pair[1].decode(), **more}
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items())


def test_what_it_says_is_followed(tmp_path, caplog):
    path = tmp_path / "ssl.config"
    path.write_text(text(ONE))
    followed = _tls(str(path))
    assert (followed.credentials.certificate, followed.credentials.key, followed.credentials.roots) == (*ONE, None)
    path.write_text(text(OTHER)[:700])
    assert not followed.look()
    assert followed.credentials.certificate == ONE[0]
    assert "the one before stays in use" in caplog.text
    path.write_text(text(OTHER, custom_ca=AUTHORITY.pem.decode(), client_verify=True))
    assert followed.look()
    credentials = followed.credentials
    assert (credentials.certificate, credentials.key, credentials.roots) == (*OTHER, AUTHORITY.pem)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("server_key", "cannot read the SSL config file"),
        (text((b"", b"")), "needs server_key and server_cert, as PEM text"),
        (text(ONE, client_verify=True), "has client_verify, which needs custom_ca"),
        (
            text((ONE[0], OTHER[1])),
            "server_key of the SSL config file '{}' is not the key of the certificate in server_cert of",
        ),
        (
            text(ONE, client_verify=True, custom_ca="x"),
            "custom_ca of the SSL config file '{}' holds no certificates in PEM",
        ),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, written, problem):
    path = tmp_path / "ssl.config"
    path.write_text(written)
    with pytest.raises(UsageError, match=re.escape(problem.format(path))):
        _tls(str(path))
