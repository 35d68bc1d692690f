"""Which requests get a line in the access log, as `--access-log` says it.

    off        failed        all        failed,slow=200ms,sample=0.01        0.01, the same as sample=0.01

Failed requests always have one, but for `off`.
"""

import math
import re
from typing import NamedTuple

_WORDS = "off, failed, all, slow=200ms, sample=0.01, or several of them with commas between"
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)")


class AccessChoice(NamedTuple):
    """Which requests get a line; failed ones do in any case."""

    slow_s: float = math.inf
    """Those that took at least so many seconds: 0 for all."""
    share: float = 0.0
    """Of the others, the part that is chosen by chance."""


def parse(text: str) -> AccessChoice | None:
    """What a setting says; None: there is no access log. Raises `ValueError` with a sentence."""
    words = [word.strip() for word in text.lower().split(",") if word.strip()]
    if "off" in words or not words:
        if len(words) > 1:
            raise ValueError(f"access_log has off beside other words, {text[:100]!r}; expected {_WORDS}")
        return None
    slow_s, share = math.inf, 0.0
    for word in words:
        name, _, value = word.partition("=")
        if word == "all":
            slow_s = 0.0
        elif name == "slow":
            slow_s = min(slow_s, _seconds(value))
        elif name == "sample" or word[0] in "0123456789.":
            share = _share(value or word)
        elif word != "failed":
            raise ValueError(f"access_log has {word[:100]!r}; expected {_WORDS}")
    return AccessChoice(slow_s, share)


def _seconds(text: str) -> float:
    match = _SECONDS.fullmatch(text)
    if not match:
        raise ValueError(f"access_log has slow={text[:100]!r}; expected a time such as slow=200ms or slow=1.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"access_log has sample={text[:100]!r}; expected a part of all requests, from 0 to 1")
    return share
