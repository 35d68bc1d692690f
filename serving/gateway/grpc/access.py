"""Which key a call over gRPC has to show, in its metadata: asked at its head, before its message is read.

    authorization: Bearer T, x-api-key: T ──identified──▶ Identity, noted at the head ──entered──▶ in, or a `ServingError`

Calls whose heads are the same share one: they are asked no more than whether its key still holds.
"""

import time

from signet.serving.errors import ServingError
from signet.serving.gateway.access.access import Access
from signet.serving.gateway.access.identity import Identity
from signet.serving.grpc_transport.calls import Head, Metadata


def identified(access: Access, head: Head) -> Identity:
    """Whose a call is. Raises `Unauthenticated`."""
    identity: Identity | None = head.key
    if identity is None or not access.holds(identity):
        identity = head.key = access.identify(*_shown(head.metadata))
    return identity


def why_not(access: Access, head: Head, *, admin: bool = False, counts: bool = True) -> ServingError | None:
    """Why a call may not come in; None: it may. counts: whether it counts here as a request of its key."""
    try:
        identity = identified(access, head)
        if admin:
            access.check_admin(identity)
    except ServingError as error:
        return error
    if identity.plain:
        return None
    now = time.perf_counter()
    over = access.over_rate(identity, now)
    if over is None and counts:
        identity.began(now)
    return over


def _shown(metadata: Metadata) -> tuple[bytes | None, bytes | None]:
    """What stands in the two keys; several values of one are one that is none."""
    found: dict[str, str] = {}
    for key, value in metadata:
        if key in ("authorization", "x-api-key") and isinstance(value, str):
            found[key] = f"{found[key]}, {value}" if key in found else value
    authorization, api_key = found.get("authorization"), found.get("x-api-key")
    return None if authorization is None else authorization.encode(), None if api_key is None else api_key.encode()
