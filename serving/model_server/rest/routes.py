"""Paths of the REST API: what is asked, of which model.

    POST /v1/models/NAME[/versions/N|/labels/LABEL]:predict    ──parse──▶ Target("predict", name, version or label)
    GET  /v1/models/NAME[/versions/N|/labels/LABEL][/metadata] ──parse──▶ Target("status" or "metadata", …)

A path is matched whole, in any case, with its query; name and label are percent-decoded after that.
Source: `http_rest_api_util.cc`, `http_rest_api_handler.cc`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from signet.serving.rest_dialect.json_text import NOT_UTF8

_VERSION = rb"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_CALL = re.compile(rb"/v1/models/(?P<name>[^/:]+)" + _VERSION + rb":(?P<verb>classify|regress|predict)", re.IGNORECASE)
_LOOK = re.compile(rb"/v1/models(?:/(?P<name>[^/:]+))?" + _VERSION + rb"(?:/(?P<verb>metadata))?", re.IGNORECASE)
_CALLS = (b"classify", b"regress", b"predict")
_MAX_VERSION = (1 << 63) - 1
_MAX_DIGITS = 19


@dataclass(frozen=True)
class Target:
    """What a request asks for."""

    verb: str
    """predict, classify, regress, status or metadata."""
    name: str
    """Name of the model; empty when the path has none."""
    version: int | None
    label: str | None


class VersionTooLarge(Exception):
    """The version in a path is no int64; the original answers 400 without a word."""


def is_api(path: bytes) -> bool:
    """Whether the REST API answers for this path at all."""
    return path[:4].lower() == b"/v1/"


@lru_cache(1024)
def parse(method: str, path: bytes) -> Target | None:
    """What a method and path ask for, or None for a path that asks nothing. Raises `VersionTooLarge`."""
    match = _CALL.fullmatch(path) if method == "POST" else _LOOK.fullmatch(path) if method == "GET" else None
    if match is None:
        return None
    verb = match["verb"]
    if method == "GET":
        verb = b"metadata" if verb == b"metadata" else b"status"
    elif verb not in _CALLS:  # the path may be in any case, this word may not
        return None
    return Target(verb.decode(), _text(match["name"]), _number(match["version"]), _text(match["label"]) or None)


def _number(digits: bytes | None) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip(b"0") or b"0"
    if len(significant) > _MAX_DIGITS or int(significant) > _MAX_VERSION:
        raise VersionTooLarge("the version in the path is no int64")
    return int(significant)


def _text(part: bytes | None) -> str:
    return unquote_to_bytes(part).decode(errors=NOT_UTF8) if part else ""
