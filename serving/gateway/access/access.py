"""The door of a gateway with keys: whose a request is, and whether it may come in, by its head alone.

    Authorization: Bearer T, X-API-Key: T ──identify──▶ Identity ──check──▶ in        the file ──follow──▶ keys in use
                                             └── `Unauthenticated`  └── `Forbidden`, `Overloaded`

Keys in use are replaced as a whole: a request is asked by the old ones or by the new ones. Whoever keeps an `Identity` asks
`holds` before it counts again, so that a key that was revoked or has expired stops with its next request, on any connection.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from signet.serving.errors import Forbidden, NotFound, Overloaded, ServingError, Unauthenticated, UsageError
from signet.serving.gateway.access import key_file, tokens
from signet.serving.gateway.access.identity import Identity
from signet.serving.gateway.access.key_file import Key
from signet.serving.process.counter import Counter
from signet.serving.process.file_stamp import CHANGED_NS, Stamp, stamp
from signet.serving.process.supervision import KEYS, Background, Failures

log = logging.getLogger(__name__)

LABELLED = 256
"""Keys that metrics tell apart; those behind them in the file are `OTHERS` together."""
OTHERS = "other"

NO_KEY, MALFORMED, SEVERAL, UNKNOWN, EXPIRED, MODEL, ADMIN = (
    *("no_key", "malformed", "several", "unknown", "expired", "model", "admin"),
)

_RACY_S = 2.0
"""A file whose last change is so fresh may have been changed again within the same tick of its clock: it is read anew."""
_CHANGING: Stamp = (0, 0, 0, 0)
"""The stamp of no file: what was read with it is read anew."""
_EXPECTED = (
    f"show a key: `Authorization: Bearer {tokens.FORM}` or `X-API-Key: {tokens.FORM}`, over gRPC the same in metadata"
)
_NOBODY = Identity(Key("nobody", "0" * 12, bytes(16), bytes(32)), 0, "", 1.0)
"""Whose secret is looked at where there is no such id, so that it takes as long as where there is one."""


class InUse(NamedTuple):
    """The keys of one content of the file."""

    generation: int
    by_id: Mapping[bytes, Identity]
    text: bytes
    """The content."""


class Access:
    """The keys of one gateway. `_in_use` is replaced by the thread that follows the file; all else is for the event loop."""

    def __init__(
        self,
        path: Path,
        share: float = 1.0,
        *,
        poll_s: float = 1.0,
        served: Callable[[], Collection[str]] = lambda: (),
        refused: Callable[[str], None] = lambda _: None,
        counter: Counter | None = None,
        failures: Failures | None = None,
    ) -> None:
        """share: the part of the keys' rates that is this process's. poll_s: seconds between two looks at the file.

        served: the models that there are. refused: told why, as `metrics.ACCESS_REFUSED` has it. counter: of requests by key
        and code. Raises `UsageError` for a file that is none.
        """
        self._path, self._share, self._poll_s = path, share, poll_s
        self._served = served
        self._refused, self._counter, self._failures = refused, counter, failures or Failures()
        self._stamp: Stamp | None = _CHANGING
        text = key_file.content(path)
        self._in_use = self._made(text, key_file.parse(text, str(path)), None)
        self.generation = self._in_use.generation
        """Another one for other keys: what an earlier one has found is to be found again. Written by the thread."""
        self._warn()
        if not self._in_use.by_id:
            log.warning("%s has no keys: nobody gets in until `signet keys add` adds one", path)
        self._broken = b""
        """The content that was complained about, and is not used. For the thread alone."""
        self.up_to_date = True
        """Whether the keys in use are those of the file; written by the thread."""
        self._counted_generation = 0
        self._following = Background(KEYS, self._look, self._failures)

    # Requests

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._in_use.by_id)

    def holds(self, identity: Identity) -> bool:
        """Whether a key that was shown before is still one."""
        return identity.generation == self.generation and identity.expires_at > time.time()

    def identify(self, authorization: bytes | None, api_key: bytes | None) -> Identity:
        """Whose the key is that a request shows, in these two headers. Raises `Unauthenticated`."""
        bearer = None
        if authorization is not None and authorization[:7].lower() == b"bearer ":
            bearer = authorization[7:].strip(b" ")
        token = bearer if api_key is None else api_key.strip(b" ")
        if token is None:
            raise self._refuse(NO_KEY, Unauthenticated(_EXPECTED))
        found = tokens.split(token)
        if found is None:
            raise self._refuse(MALFORMED, Unauthenticated(f"what is shown has not the form of a key: {_EXPECTED}"))
        if bearer is not None and bearer != token and tokens.split(bearer):
            raise self._refuse(SEVERAL, Unauthenticated("two different keys are shown; expected one"))
        known = self._in_use.by_id.get(found[0])
        right = (known or _NOBODY).has(found[1])
        if known is None or not right:
            raise self._refuse(UNKNOWN, Unauthenticated("the key is none of this service, or was revoked"))
        if known.expired:
            raise self._refuse(EXPIRED, Unauthenticated(f"the key {known.name!r} has expired"))
        return known

    def check_admin(self, identity: Identity) -> None:
        """Raise `Forbidden` unless the key is an admin's."""
        if not identity.admin:
            message = f"the key {identity.name!r} is not for this; expected one that was made with --admin"
            raise self._refuse(ADMIN, Forbidden(message))

    def check_model(self, identity: Identity, model: str) -> None:
        """Raise `Forbidden` for a key that is for other models, and `NotFound` for one of its own that is not served."""
        if not identity.sees(model):
            message = f"the key {identity.name!r} is not for the model {model[:100]!r}"
            raise self._refuse(MODEL, Forbidden(message))
        if identity.models is not None and model not in self._served():
            # Elsewhere the message tells what is served, which is none of this caller's business.
            raise NotFound(f"Servable not found for request: Latest({model[:100]})")

    def over_rate(self, identity: Identity, now: float) -> Overloaded | None:
        """Why a request of the key is refused for now, by what it has had; None: it is not. now: by `time.perf_counter`."""
        over = identity.over_rate(now)
        if over is None:
            return None
        self._refused(f"{over[0]}_rate")
        return over[1]

    def observe(self, context: Any, code: str, seconds: float, response_bytes: int) -> None:
        """Count a request that has been answered: an `Observer`."""
        identity: Identity | None = context.identity
        if identity is not None and self._counter is not None:
            series = identity.counts.get(code)
            if series is None:
                self._forget_labels(self._counter)
                series = identity.counts[code] = self._counter.series(identity.label, code)
            series.count += 1

    # The file

    def start(self) -> None:
        """Follow the file."""
        self._following.start()

    def look(self) -> None:
        """Look at the file at once. Any thread may ask."""
        self._following.wake()

    def stop(self) -> None:
        """Follow the file no more."""
        self._following.stop()

    def _look(self) -> float:
        """Use what the file holds, if that is other keys; in the thread."""
        seen = stamp(self._path)
        if seen == self._stamp and (seen is None or seen[CHANGED_NS] / 1e9 < time.time() - _RACY_S):
            return self._poll_s
        text: bytes | None = None
        try:
            text = key_file.content(self._path)
            if text != self._in_use.text:
                self._use(text)
            self.up_to_date, self._broken = True, b""
        except UsageError as error:
            if self.up_to_date or text != self._broken:
                self._failures.count(KEYS)
                log.error("the keys stay as they were: %s", error)
            self.up_to_date, self._broken = False, text or b""
        self._stamp = seen if stamp(self._path) == seen else _CHANGING
        return self._poll_s

    def _use(self, text: bytes) -> None:
        if not text:
            raise UsageError(f"{self._path} is empty, as while somebody writes it; a remark in it would do for no keys")
        before = self._in_use
        keys = key_file.parse(text, str(self._path))
        self._in_use = made = self._made(text, keys, before)
        self.generation = made.generation
        log.info("%d keys are in use from now on, %d before", len(keys), len(before.by_id))
        self._warn()

    def _made(self, text: bytes, keys: list[Key], before: InUse | None) -> InUse:
        generation = before.generation + 1 if before else 1
        known = before.by_id if before else {}
        by_id = {
            key.id.encode(): Identity(
                key, generation, key.name if i < LABELLED else OTHERS, self._share, known.get(key.id.encode())
            )
            for i, key in enumerate(keys)
        }
        return InUse(generation, by_id, text)

    def _warn(self) -> None:
        if key_file.others_may_read(self._path):
            log.warning("%s can be read by everybody on this machine: chmod o-r", self._path)

    def _forget_labels(self, counter: Counter) -> None:
        """Of keys that are no more."""
        if self._counted_generation != self.generation:
            self._counted_generation = self.generation
            labels = {identity.label for identity in self._in_use.by_id.values()}
            counter.drop(lambda values: values["key"] not in labels)

    def _refuse(self, reason: str, error: ServingError) -> ServingError:
        self._refused(reason)
        return error
