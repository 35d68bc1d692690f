"""How long a model server rests that refuses calls."""

from signet.serving.gateway.backends.pushback import Pushback


def test_a_server_that_refuses_rests_longer_and_longer_up_to_a_second():
    pushback, now, rests = Pushback(), 0.0, []
    for _ in range(8):
        pushback.refused(now)
        began = now
        while pushback.is_resting(now):
            now += 0.01
        rests.append(round(now - began, 1))
    assert rests == [0.1, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_refusals_of_calls_that_were_under_way_do_not_count_again():
    pushback = Pushback()
    for _ in range(50):
        pushback.refused(0.0)
    assert pushback.is_resting(0.049)
    assert not pushback.is_resting(0.05)


def test_an_answer_ends_the_rest():
    pushback = Pushback()
    pushback.refused(0.0)
    pushback.accepted()
    assert not pushback.is_resting(0.0)
    pushback.refused(1.0)
    assert not pushback.is_resting(1.05)
