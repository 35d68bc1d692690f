"""A child of a service, from inside: what it was started for, what its parent asks of it, what it asks its parent.

    main ──▶ the function that the parent names, with a `Parent` ──▶ the server, as in a single process, but that
    connections come by `Parent.take_connections`, signals as messages, and counts of all by `Parent.told`

The thread `parent` reads what the parent says; it answers questions about counts even when the event loop is busy. Signals
are the parent's business. When the parent is gone, however that came, the child stops as for SIGTERM, or is ended.
"""

import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from signet.serving.errors import SignetError
from signet.serving.process.board import Board
from signet.serving.process.combining import Family
from signet.serving.process.conversation import LENGTH, Conversation, Handler
from signet.serving.process.handing_over import Taker

ANSWERS_S = 5.0
"""Seconds that a question to the parent about counts may take."""

_BEAT_S = 1.0
_STATE_S = 0.1
_READ_BYTES = 1 << 16

Counts = Mapping[str, list[Family]]
"""What is counted, by group: `metrics`, and whatever else is told in a form of its own."""


class Parent:
    """The parent, as its child sees it.

    `place` is the child's, from 0, of `places`. `_conversation` is written once, before the thread starts; its `tell` and
    `ask` are for any thread, by `_lock`.
    """

    def __init__(
        self, place: int, places: int, messages: socket.socket, connections: socket.socket, board: Board
    ) -> None:
        self.place, self.places = place, places
        self._messages, self._connections, self._board = messages, connections, board
        self._lock = threading.Lock()
        self._begun: Future[Any] = Future()
        self._handlers: dict[str, Handler] = {"begin": self._begun.set_result}
        self._conversation = Conversation(self._write, self._handlers)
        self._lost: Callable[[], None] = lambda: None
        self._patience_s = 0.0

    def wait_for_argument(self) -> Any:
        """What the parent hands to the function that it has named. Called once, before `listen`."""
        while not self._begun.done():
            # One message alone: what the parent says after it is for the handlers of `listen`.
            head = self._read(LENGTH.size)
            self._read(LENGTH.unpack(head)[0])
        return self._begun.result()

    def listen(self, handlers: Mapping[str, Handler], lost: Callable[[], None], patience_s: float) -> None:
        """Answer what the parent says from now on, in a thread.

        lost: called in that thread when the parent is gone; so many seconds later the process is ended.
        """
        self._handlers.update(handlers)
        self._lost, self._patience_s = lost, patience_s
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def take_connections(self, takers: Mapping[int, Callable[[socket.socket], None]]) -> Taker:
        """Take the connections that the parent hands over from now on, in the running event loop."""
        taker = Taker(self._connections, takers)
        self.tell("taking")
        return taker

    def closed(self, kind: int) -> Callable[[], None]:
        """To be called when a connection of that kind has ended."""
        return partial(self._board.count_closed, self.place, kind)

    def tell(self, kind: str, value: Any = None) -> None:
        with contextlib.suppress(OSError):  # the thread finds out that nobody is there
            self._conversation.tell(kind, value)

    async def ask(self, kind: str, value: Any = None) -> Any:
        """The parent's answer. Raises its `SignetError`s, and `Gone` when it is gone."""
        return await asyncio.wrap_future(self._conversation.ask(kind, value))

    async def told(self, group: str) -> list[Family]:
        """What all processes of the service have counted, of one group. Raises TimeoutError."""
        async with asyncio.timeout(ANSWERS_S):
            counts: Counts = await self.ask("counts")
        return counts.get(group, [])

    async def keep_telling(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Run in the event loop for as long as it turns: note that it does, and tell the state when it changes."""
        loop = asyncio.get_running_loop()
        told, beat_at = None, 0.0
        while True:
            if loop.time() - beat_at >= _BEAT_S:
                self._board.beat(self.place)
                beat_at = loop.time()
            if (now := dict(state())) != told:
                self.tell("state", now)
                told = now
            await asyncio.sleep(_STATE_S)

    def _write(self, data: bytes) -> None:
        with self._lock:
            self._messages.sendall(data)

    def _read(self, size: int = 0) -> bytes:
        """Take what has come, or just so many bytes, which are given. Raises EOFError when the parent is gone."""
        try:
            data = self._messages.recv(size, socket.MSG_WAITALL) if size else self._messages.recv(_READ_BYTES)
        except OSError:
            data = b""
        if len(data) < max(1, size):
            raise EOFError
        self._conversation.receive(data)
        return data

    def _listen(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._read()
        self._conversation.lost()
        self._lost()
        threading.Event().wait(self._patience_s)
        os._exit(1)


def in_loop(work: Callable[[Any], object]) -> Handler:
    """A handler whose work is done by the event loop that runs now, whichever thread calls it; it gives no answer."""
    loop = asyncio.get_running_loop()

    def call(value: Any = None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(work, value)

    return call


def answered_in_loop(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Handler:
    """A handler whose answer a coroutine gives, in the event loop that runs now."""
    loop = asyncio.get_running_loop()
    return lambda value: asyncio.run_coroutine_threadsafe(work(value), loop)


def main(function: str, place: int, places: int, descriptors: list[int]) -> None:
    """Call `function`, such as `package.module:name`, with a `Parent` and what that one hands over.

    descriptors: of the sockets for messages and for connections, and of the board's file.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    messages, connections = (socket.socket(fileno=descriptor) for descriptor in descriptors[:2])
    board = Board(descriptors[2], places)
    os.close(descriptors[2])
    parent = Parent(place, places, messages, connections, board)
    try:
        argument = parent.wait_for_argument()
    except EOFError:
        return
    module, _, name = function.partition(":")
    try:
        getattr(importlib.import_module(module), name)(parent, argument)
    except SignetError as error:
        parent.tell("failed", error.with_traceback(None))
        sys.exit(1)


def command(function: str, place: int, places: int, descriptors: list[int]) -> list[str]:
    """The command line of a child. It finds modules where this process does."""
    text = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from signet.serving.process import child; "
    call = "child.main(sys.argv[2], int(sys.argv[3]) - 1, int(sys.argv[4]), json.loads(sys.argv[5]))"
    words = [json.dumps(sys.path), function, str(place + 1), str(places), json.dumps(descriptors)]
    return [sys.executable, "-c", text + call, *words]


def resident_bytes(pid: int) -> int:
    """The memory that a process has now; 0 where the system does not tell, or it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
