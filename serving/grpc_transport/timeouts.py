"""`grpc-timeout`, the seconds that a call may take: at most eight digits and a unit.

20.0 ◀──▶ 20000000u        H M S m u n: hours, minutes, seconds, and thousandths, millionths, billionths of one
"""

import re

_FORM = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def parse(value: bytes) -> float:
    """The seconds. Raises `ValueError` for what is no timeout."""
    match = _FORM.fullmatch(value)
    if not match:
        raise ValueError(f"malformed grpc-timeout: {value[:100]!r}")
    return int(match[1]) * _UNITS_S[match[2]]
