"""From when and until when certificates are valid, which Python's `ssl` tells of no certificate of its own side.

PEM ──▶ DER ──▶ Certificate { tbsCertificate { [version], serial, algorithm, issuer, validity { notBefore, notAfter } … (RFC 5280)
"""

import re
import ssl
from datetime import UTC, datetime
from typing import NamedTuple

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_LONG = 0x80
"""From here on a length says in how many bytes it follows."""


class Validity(NamedTuple):
    """The time of a certificate, or of several that are needed together, in seconds since 1970."""

    begins_s: float
    ends_s: float


def of_chain(pem: bytes) -> Validity:
    """When all certificates of a PEM text are valid. Raises `ValueError` for a text that holds none, or what is none."""
    each = [_of_one(ssl.PEM_cert_to_DER_cert(block.decode("ascii"))) for block in _BLOCK.findall(pem)]
    return Validity(max(one.begins_s for one in each), min(one.ends_s for one in each))


def _of_one(der: bytes) -> Validity:
    try:
        certificate, _ = _value(der, 0)
        rest = _value(certificate, 0)[0]
        if rest[0] == _VERSION:
            rest = rest[_value(rest, 0)[1] :]
        for _ in ("serial", "algorithm", "issuer"):
            rest = rest[_value(rest, 0)[1] :]
        validity = _value(rest, 0)[0]
        begins, after = _value(validity, 0)
        return Validity(_seconds(validity[0], begins), _seconds(validity[after], _value(validity, after)[0]))
    except IndexError as error:
        raise ValueError("it is no certificate") from error


def _value(der: bytes, at: int) -> tuple[bytes, int]:
    """What stands in the element that begins there, and where the next one does."""
    length, begin = der[at + 1], at + 2
    if length >= _LONG:
        count = length - _LONG
        length, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    return der[begin : begin + length], begin + length


def _seconds(kind: int, text: bytes) -> float:
    """YYMMDDHHMMSSZ, of the years from 1950 on, or YYYYMMDDHHMMSSZ."""
    digits = text.decode("ascii")
    if kind == _UTC_TIME:
        digits = ("19" if digits >= "5" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
