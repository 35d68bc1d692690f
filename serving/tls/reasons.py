"""Why TLS is not agreed on, in words: OpenSSL's are short, and some say the opposite of what is wrong."""

import ssl

_WORDS = {
    "WRONG_VERSION_NUMBER": "it speaks no TLS there",
    "PACKET_LENGTH_TOO_LONG": "it speaks no TLS there",
    "HTTP_REQUEST": "it speaks HTTP without TLS",
    "UNSUPPORTED_PROTOCOL": "its version of TLS is older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "its version of TLS is older than 1.2",
    "NO_SHARED_CIPHER": "no cipher is known to both sides",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of this side, and is shown none",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: perhaps it wants a certificate of this side",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know who has signed the certificate of this side",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the certificate of this side has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept the certificate of this side",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept the certificate of this side",
    "TLSV1_ALERT_ACCESS_DENIED": "it does not accept the certificate of this side",
}

_EXPIRED, _NOT_YET = 10, 9
_NAME, _ADDRESS = 62, 64
_NOBODY = {18, 19, 20, 21}
"""OpenSSL's codes of verification (x509_vfy.h)."""


def words(error: ssl.SSLError) -> str:
    """What is wrong; "it" and "its" are of the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error)
    return _WORDS.get(error.reason or "") or error.reason or str(error)


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".")
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired"
    if code == _NOT_YET:
        return "its certificate is not valid yet"
    if code in (_NAME, _ADDRESS):
        return f"its certificate is another one's: {said}"
    if code in _NOBODY:
        return f"its certificate is signed by nobody who is trusted here ({said})"
    return f"its certificate is not accepted: {said}"
