"""When a model server counts as one that says nothing."""

from signet.serving.gateway.backends.silence import QUIET_S, Silence


def test_a_poll_without_an_answer_makes_a_server_quiet_until_it_speaks():
    silence = Silence()
    assert not silence.is_quiet(1e9)
    silence.asked(10.0)
    assert not silence.is_quiet(10.0 + QUIET_S)
    silence.asked(12.0)  # the next poll is no sign of life
    assert silence.is_quiet(12.0)
    assert silence.since(10.0)
    silence.heard()
    assert not silence.is_quiet(1e9)
    assert not silence.since(1e9)


def test_what_was_said_between_two_polls_counts():
    silence = Silence()
    silence.asked(10.0)
    silence.heard()
    silence.asked(11.0)
    assert not silence.since(10.5)
    assert silence.since(11.0)
