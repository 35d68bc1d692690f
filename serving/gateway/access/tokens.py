"""The secret that a caller shows, and what of it is kept: an id in the open and a salted hash.

    create ──▶ "signet_3f9c…_8b21…" shown once      id, salt, hash ──▶ the file of keys
    split(token) ──▶ id, secret ──matches(secret, salt, hash)──▶ is it the one?

A secret has 256 random bits, which nobody finds by trying: one round of SHA-256 protects it as well as many would, and costs
a request a microsecond. The salt keeps equal secrets apart that people have written into files themselves.
"""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

ID = re.compile(r"[0-9a-f]{12}")
_BYTES, _ID_END = 84, 19
"""Of a token; where its id ends."""
FORM = "signet_ID_SECRET"
"""How messages say what is expected."""


class Created(NamedTuple):
    """A new token, and what is kept of it."""

    token: str
    id: str
    salt: bytes
    hash: bytes


def create() -> Created:
    """A token that nobody has had before."""
    name, secret, salt = secrets.token_hex(6), secrets.token_hex(32), secrets.token_bytes(16)
    return Created(f"signet_{name}_{secret}", name, salt, hashed(secret.encode(), salt))


def hashed(secret: bytes, salt: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(salt + secret).digest()


def split(token: bytes) -> tuple[bytes, bytes] | None:
    """The id and the secret of a token; None for what has not its form."""
    if len(token) != _BYTES or token[:7] != b"signet_" or token[_ID_END : _ID_END + 1] != b"_":
        return None
    return token[7:_ID_END], token[_ID_END + 1 :]


def matches(secret: bytes, salt: bytes, expected: bytes) -> bool:
    """Whether the secret is the one whose hash is expected; takes as long whatever the answer is."""
    return hmac.compare_digest(hashed(secret, salt), expected)
