"""What a service's parent and one of its children say to each other: things to know, and questions with answers.

    tell(kind, value) ──frame──▶ handler(value)
    ask(kind, value)  ──frame──▶ handler(value) ──frame──▶ Future: its value or its error

A frame is a length and a pickle: both ends are this program, of one version, and nobody else has the socket. Without I/O:
bytes go out by `write`, and what comes in is handed to `receive`.
"""

import itertools
import logging
import pickle
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from signet.serving.errors import Internal, SignetError, Unavailable

log = logging.getLogger(__name__)

LENGTH = struct.Struct("<I")

_TELL, _ASK, _ANSWER, _ERROR = range(4)


class Gone(Unavailable):
    """Who was asked has ended."""


Handler = Callable[[Any], Any]
"""Gives the answer to a question, or a `Future` of it. Its `SignetError`s are the answer too."""


def frame(message: Any) -> bytes:
    """A message as it goes over the socket."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


class Conversation:
    """One end. `tell` and `ask` are for any thread if `write` is; `receive` and `lost` are for the one that reads."""

    def __init__(self, write: Callable[[bytes], None], handlers: Mapping[str, Handler]) -> None:
        """write: takes a whole frame. handlers: by the kinds of what the other side says."""
        self._write, self._handlers = write, handlers
        self._numbers = itertools.count()
        self._asked: dict[int, Future[Any]] = {}
        """Questions that wait for their answers."""
        self._unread = b""

    def tell(self, kind: str, value: Any = None) -> None:
        """Say something that needs no answer."""
        self._write(frame((_TELL, 0, kind, value)))

    def ask(self, kind: str, value: Any = None) -> "Future[Any]":
        """Ask something. The future has the other side's error, or `Gone` when it has gone."""
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._asked[number] = future
        future.add_done_callback(lambda _: self._asked.pop(number, None))  # also when nobody waits any longer
        try:
            self._write(frame((_ASK, number, kind, value)))
        except OSError:
            _set_error(future, _gone())
        return future

    def receive(self, data: bytes) -> None:
        """Take what has been read, and call the handlers of what is complete."""
        self._unread += data
        while len(self._unread) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                return
            message = self._unread[LENGTH.size : end]
            self._unread = self._unread[end:]
            self._handle(*pickle.loads(message))  # noqa: S301  # nosec B301  # from ourselves: see above

    def lost(self) -> None:
        """Nothing more will come: what was asked has no answer."""
        for future in list(self._asked.values()):
            _set_error(future, _gone())

    def _handle(self, sort: int, number: int, kind: str, value: Any) -> None:
        if sort in (_ANSWER, _ERROR):
            if asked := self._asked.get(number):
                if sort == _ERROR:
                    _set_error(asked, value)
                elif asked.set_running_or_notify_cancel():
                    asked.set_result(value)
            return
        try:
            result = self._handlers[kind](value)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other side waits for it
            result = Future()
            result.set_exception(error)
        if not isinstance(result, Future):
            if sort == _ASK:
                self._reply(_ANSWER, number, result)
            return
        result.add_done_callback(lambda done: self._done(sort, number, kind, done))

    def _done(self, sort: int, number: int, kind: str, done: "Future[Any]") -> None:
        error = None if done.cancelled() else done.exception()
        if error and not isinstance(error, SignetError):
            log.error("%r of another process of this service failed", kind, exc_info=error)
            error = Internal(f"{kind!r} failed in another process of this service; its log says more")
        elif error:
            error = error.with_traceback(None)
        if sort == _ASK:
            if done.cancelled() or error:
                self._reply(_ERROR, number, error or _gone())
            else:
                self._reply(_ANSWER, number, done.result())

    def _reply(self, sort: int, number: int, value: Any) -> None:
        try:
            self._write(frame((sort, number, "", value)))
        except OSError:
            log.debug("nobody is left to be answered")


def _set_error(future: "Future[Any]", error: Exception) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)


def _gone() -> Gone:
    return Gone("another process of this service has ended; try again")
