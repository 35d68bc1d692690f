"""Certificates for tests, good and bad: authorities, and what they sign.

authority = Authority("ca")          folder/ca.crt
authority.signs(folder, "server")    folder/server.crt, server.key: for localhost and 127.0.0.1, a day long
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and of its key."""

    certificate: Path
    key: Path


class Authority:
    """Who signs certificates; trusted by whom has its own."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        begin = datetime.now(UTC) - 10 * DAY
        builder = _builder(self._name, self._name, self._key, begin, begin + 100 * DAY)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def written(self, folder: Path, name: str = "ca") -> Path:
        """The file of its own certificate."""
        path = folder / f"{name}.crt"
        path.write_bytes(self.pem)
        return path

    def signed(
        self,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
        password: bytes = b"",
    ) -> tuple[bytes, bytes]:
        """A certificate for these names, and its key. begins, ends: from now on."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        builder = _builder(_name("x"), self._name, key, now + begins, now + ends)
        names_in = x509.SubjectAlternativeName([_general(name) for name in names])
        certificate = builder.add_extension(names_in, critical=False).sign(self._key, hashes.SHA256())
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption(),
            ),
        )

    def signs(self, folder: Path, name: str = "server", **what: object) -> Pair:
        """The files of what `signed` gives, which replace those that there are, each as a whole."""
        pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        for path, text in zip((pair.certificate, pair.key), self.signed(**what), strict=True):
            beside = path.with_suffix(f"{path.suffix}.new")
            beside.write_bytes(text)
            os.replace(beside, path)
        return pair


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
