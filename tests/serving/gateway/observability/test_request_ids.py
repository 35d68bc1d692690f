"""What requests are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.observability.request_ids import RequestIds


def test_each_request_without_a_name_gets_one_of_its_own():
    ids, others = RequestIds(), RequestIds()
    made = [ids.of(None) for _ in range(1000)] + [others.of(None) for _ in range(1000)]
    assert len(set(made)) == 2000
    assert all(ids.of(one) == one for one in made)


@pytest.mark.parametrize(
    "sent", ["7", "a" * 128, "req-1_2.3~4", "0af7651916cd43dd8448eb211c80319c", "user@host:1/2+3="]
)
def test_a_name_that_the_caller_gives_is_kept(sent):
    assert RequestIds().of(sent) == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", "a\nb", 'a"b', "a\\b", "ä", "a;b", "a,b", "<a>", "a\x7f"])
def test_what_cannot_be_a_name_is_replaced(sent):
    assert sent not in RequestIds().of(sent)[:1000] or sent == ""
    assert RequestIds().of(sent).isascii()


@given(st.text())
def test_an_id_is_safe_wherever_it_is_written(sent):
    made = RequestIds().of(sent)
    assert made
    assert not set(made) & set(' "\\<>;,\r\n%{}')
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 128
