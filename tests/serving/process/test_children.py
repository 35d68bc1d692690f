"""Children of a service as their parent asks them, and a child's first words from its parent."""

import asyncio
import os
import socket
import threading

import pytest

from signet.serving.errors import InvalidInput
from signet.serving.process.board import Board
from signet.serving.process.child import Parent
from signet.serving.process.children import Children
from signet.serving.process.conversation import frame

TELL = 0
"""The sort of a message that wants no answer."""


def answering(parent: Parent, argument: str) -> None:
    """A child that answers `who`, until it is to stop; the second says no, and the third dies of the question."""
    stop = threading.Event()

    def who(word: str) -> str:
        if parent.place == 1:
            raise InvalidInput(f"not {word}")
        if parent.place == 2:
            os._exit(3)
        return f"{argument} {parent.place} {word}"

    parent.listen({"who": who, "stop": lambda _: stop.set(), "mute": lambda _: stop.wait()}, stop.set, 1.0)
    parent.tell("taking")
    parent.tell("started", parent.place)
    stop.wait()


def test_all_that_live_answer_and_one_that_dies_of_it_has_no_say():
    async def answers():
        children = Children("tests.serving.process.test_children:answering", ["child"] * 3)
        children.start()
        try:
            async with asyncio.timeout(30):
                assert await children.first_start == [0, 1, 2]
                found = await children.ask("who", "goes there")
                with pytest.raises(InvalidInput, match="not you"):
                    await children.agreed("who", "you")
                return found, await children.ask("mute", timeout_s=0.1)
        finally:
            await children.stop(5.0)

    (answer, error), mute = asyncio.run(answers())
    assert answer == "child 0 goes there"
    assert isinstance(error, InvalidInput)
    assert mute == []


def test_what_follows_the_argument_waits_for_its_handler():
    ours, theirs = socket.socketpair()
    spare, other = socket.socketpair()
    with ours, theirs, spare, other:
        ours.sendall(frame((TELL, 0, "begin", "argument")) + frame((TELL, 0, "look", 7)))
        descriptor = Board.create(1)
        parent = Parent(0, 1, theirs, other, Board(descriptor, 1))
        os.close(descriptor)
        assert parent.wait_for_argument() == "argument"
        looked: list[int] = []
        came = threading.Event()
        parent.listen({"look": lambda value: (looked.append(value), came.set())}, lambda: None, threading.TIMEOUT_MAX)
        assert came.wait(10)
        assert looked == [7]
