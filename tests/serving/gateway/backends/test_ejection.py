"""When a server is left out, and for how long."""

from signet.serving.gateway.backends.ejection import OutlierEjection


def out_s(ejection: OutlierEjection, now_s: float) -> float:
    """For how long it is out, to 10 ms."""
    return next(tick / 100 for tick in range(10_000) if not ejection.is_ejected(now_s + tick / 100))


def test_three_failures_in_a_row_are_needed():
    ejection = OutlierEjection()
    for _ in range(3):
        assert not ejection.failed(1)
        assert not ejection.failed(1)
        ejection.succeeded(1)
    assert [ejection.failed(1) for _ in range(3)] == [False, False, True]
    assert 0.8 <= out_s(ejection, 1) <= 1.21


def test_a_relapse_is_out_for_longer_up_to_half_a_minute():
    ejection, now = OutlierEjection(), 0.0
    assert [ejection.failed(now) for _ in range(3)][-1]
    longest = 1.0
    for _ in range(8):
        now += out_s(ejection, now)
        longest = min(30, longest * 2)
        ejection.succeeded(now)
        assert ejection.failed(now)
        assert longest * 0.8 <= out_s(ejection, now) <= longest * 1.2 + 0.01
    assert longest == 30


def test_as_long_again_without_a_failure_makes_it_as_good_as_new():
    ejection = OutlierEjection()
    for _ in range(3):
        ejection.failed(0)
    ejection.succeeded(2.5)
    assert [ejection.failed(2.5) for _ in range(3)] == [False, False, True]
    assert out_s(ejection, 2.5) <= 1.21


def test_a_dead_server_stays_out_while_it_is_asked_in_vain():
    ejection = OutlierEjection()
    for _ in range(3):
        ejection.failed(0)
    for tick in range(1, 100):
        assert ejection.is_ejected(tick / 2)
        assert not ejection.failed(tick / 2)
    assert out_s(ejection, 49.5) <= 1.21


def test_many_do_not_come_back_at_once():
    times = set()
    for _ in range(50):
        ejection = OutlierEjection()
        for _ in range(3):
            ejection.failed(0)
        times.add(out_s(ejection, 0))
    assert len(times) > 5
