"""Two ends that hand each other what they write, cut anywhere."""

from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import ForeignError, Internal, InvalidInput, Unavailable
from signet.serving.process.conversation import Conversation


class Ends:
    """Two ends of a conversation; what one writes arrives when `deliver` is called, in pieces of so many bytes."""

    def __init__(self, handlers=None, piece: int = 1 << 20) -> None:
        self.wires, self.piece = [bytearray(), bytearray()], piece
        self.heard: list[object] = []
        theirs = {"note": self.heard.append, **(handlers or {})}
        self.one = Conversation(self.wires[0].extend, {"note": self.heard.append})
        self.other = Conversation(self.wires[1].extend, theirs)

    def deliver(self) -> None:
        while any(self.wires):
            for wire, reader in zip(self.wires, (self.other, self.one), strict=True):
                data = bytes(wire[: self.piece])
                del wire[: self.piece]
                if data:
                    reader.receive(data)


@given(st.lists(st.binary(max_size=50)), st.integers(1, 64))
def test_what_is_told_arrives_in_order_however_it_is_cut(values, piece):
    ends = Ends(piece=piece)
    for value in values:
        ends.one.tell("note", value)
    ends.deliver()
    assert ends.heard == values


def test_answers_find_their_questions_in_any_order():
    later: Future[int] = Future()
    ends = Ends({"now": lambda value: value + 1, "later": lambda _: later})
    first, second = ends.one.ask("later"), ends.one.ask("now", 1)
    ends.deliver()
    assert second.result(0) == 2
    assert not first.done()
    later.set_result(7)
    ends.deliver()
    assert first.result(0) == 7


def fails(error: Exception):
    def handler(_: object) -> None:
        raise error

    return handler


@pytest.mark.parametrize("error", [InvalidInput("no such input"), ForeignError("did not load", "DATA_LOSS")])
def test_an_error_of_the_service_is_the_answer(error):
    ends = Ends({"fail": fails(error)})
    asked = ends.one.ask("fail")
    ends.deliver()
    told = asked.exception(0)
    assert (type(told), str(told), told.grpc_code) == (type(error), str(error), error.grpc_code)


def test_a_bug_is_logged_where_it_is_and_told_as_internal(caplog):
    ends = Ends({"fail": fails(ZeroDivisionError("x"))})
    asked = ends.one.ask("fail")
    ends.deliver()
    assert isinstance(asked.exception(0), Internal)
    assert "ZeroDivisionError" in caplog.text


def test_who_waits_for_the_other_side_is_told_that_it_has_gone():
    ends = Ends()
    asked = ends.one.ask("note")
    ends.one.lost()
    assert isinstance(asked.exception(0), Unavailable)


def test_a_question_nobody_can_be_asked_is_answered_at_once():
    def write(_: bytes) -> None:
        raise BrokenPipeError

    assert isinstance(Conversation(write, {}).ask("anything").exception(0), Unavailable)


def test_an_answer_that_comes_too_late_is_dropped():
    ends = Ends({"now": lambda value: value})
    asked = ends.one.ask("now", 1)
    assert asked.cancel()
    ends.deliver()
