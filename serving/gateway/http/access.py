"""Which key a request over HTTP has to show: what its path is about decides, and nothing but its head is read.

    /livez, /readyz, /v2/health/…          none
    /, /page/…, /docs, /docs/FILE          none: pages that are the same everywhere, and ask for a key themselves
    /v1/models/NAME…, /v2/models/NAME…     one that is for the model
    /metrics, load and unload of models,
    /v1/models/NAME/release…               an admin's
    whatever else                          any

A request whose head was seen before is asked no more than whether its key still holds.
"""

import re
from typing import NamedTuple

from signet.serving.gateway.access.access import Access
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.http import paths
from signet.serving.http.messages import Request

_OPEN = frozenset((b"/livez", b"/readyz", b"/v2/health/live", b"/v2/health/ready"))
"""What probes ask; it tells nothing that a stranger could use."""
_PAGES = re.compile(rb"/|/page/.*|/docs(?:/[^/]*)?")
"""What a browser shows before anybody can type a key; it tells nothing of what is served."""
_ADMINS = re.compile(rb"/metrics/*|/v2/repository/models/.*|/v1/models/[^/]+/release(?:/.*)?")
_ABOUT = re.compile(rb"/v[12]/models/([^/]+)(?:/.*)?")
_ABOUT_ALL = frozenset((b"/v2/models/stats",))
"""What only looks as if it were about a model."""


class Rule(NamedTuple):
    """What a path asks of who calls it."""

    open: bool = False
    """Whether no key is needed."""
    admin: bool = False
    """Whether an admin's is."""
    model: str | None = None
    """The model that it is about."""


def rule(path: bytes) -> Rule:
    """Of a normalized path with its query, which is no inference."""
    path = path.partition(b"?")[0]
    if path in _OPEN or _PAGES.fullmatch(path):
        return Rule(open=True)
    if _ADMINS.fullmatch(path):
        return Rule(admin=True)
    about = None if path in _ABOUT_ALL else _ABOUT.fullmatch(path)
    return Rule(model=paths.decoded(about[1])) if about else Rule()


def identified(access: Access, request: Request) -> Identity:
    """Whose a request is, by its head. Raises `Unauthenticated`."""
    known, headers = request.known, request.headers
    if known is None:
        return access.identify(headers.get(b"authorization"), headers.get(b"x-api-key"))
    identity: Identity | None = known.owner
    if identity is None or not access.holds(identity):
        identity = known.owner = access.identify(headers.get(b"authorization"), headers.get(b"x-api-key"))
    return identity
