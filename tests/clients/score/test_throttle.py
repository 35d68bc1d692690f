"""The pace of requests: how many at a time, how soon after a refusal, how many rows a second."""

import threading
import time

import pytest

from signet.clients.score import throttle
from signet.clients.score.throttle import Throttle
from signet.serving.errors import Cancelled
from tests import servers


def test_so_many_have_a_turn_at_a_time():
    shared = Throttle(2, None)
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(100):
            with shared.turn(1):
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 2


def test_a_refusal_halves_the_number_and_time_brings_it_back():
    shared = Throttle(8, None)
    now = time.monotonic()
    assert shared.limit(now) == 8
    shared.yield_to_others(5)
    assert shared.limit(now + 4) == 4
    assert shared.limit(now + 6 + throttle.ONE_MORE_EVERY_S) == pytest.approx(5.1, abs=0.02)
    assert shared.limit(now + 6 + 100 * throttle.ONE_MORE_EVERY_S) == 8
    for _ in range(5):
        shared.yield_to_others(5)
    assert shared.limit(now) == 1


def test_nobody_has_a_turn_before_the_time_that_the_server_said():
    shared = Throttle(8, None)
    started = time.monotonic()
    shared.yield_to_others(0.2)
    with shared.turn(1):
        assert time.monotonic() - started >= 0.2


def test_rows_come_at_their_rate():
    shared = Throttle(8, 100)
    started = time.monotonic()
    for _ in range(6):
        with shared.turn(50):
            pass
    assert 2.4 <= time.monotonic() - started < 5  # the first 50 at once, 250 more in 2.5 s


def test_who_waits_learns_that_the_job_has_ended():
    shared = Throttle(1, None)
    problems: list[Exception] = []

    def work(wait) -> None:
        try:
            wait()
        except Cancelled as error:
            problems.append(error)

    def turn() -> None:
        with shared.turn(1):
            pass

    with shared.turn(1):
        threads = [threading.Thread(target=work, args=(wait,)) for wait in (turn, lambda: shared.pause(60))]
        for thread in threads:
            thread.start()
        servers.wait_until(lambda: len(shared._changed._waiters) == 2, what="both to wait")
        shared.stop()
        for thread in threads:
            thread.join()
    assert len(problems) == 2
