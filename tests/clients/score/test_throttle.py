"""The throttling of requests: how many at a time, how soon after a refusal, how many rows a second."""

import threading

from signet.clients.score import throttle
from signet.clients.score.throttle import Throttle
from signet.serving.errors import Cancelled
from tests import servers


class SimulatedTime(threading.Condition):
    """A clock, and a condition in which waiting is what makes the time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout, "somebody else would have to wake it"
        self.now += timeout
        return False


def simulated(concurrency: int, rows_per_s: float | None) -> tuple[Throttle, SimulatedTime]:
    clock = SimulatedTime()
    shared = Throttle(concurrency, rows_per_s, clock)
    shared._changed = clock
    return shared, clock


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
    shared, clock = simulated(8, None)
    now = clock.now
    assert shared.limit(now) == 8
    shared.yield_to_others(5)
    assert shared.limit(now + 4) == 4
    assert shared.limit(now + 5 + throttle.ONE_MORE_EVERY_S) == 5
    assert shared.limit(now + 5 + 100 * throttle.ONE_MORE_EVERY_S) == 8
    for _ in range(5):
        shared.yield_to_others(5)
    assert shared.limit(now) == 1


def test_nobody_has_a_turn_before_the_time_that_the_server_said():
    shared, clock = simulated(8, None)
    shared.yield_to_others(0.25)
    with shared.turn(1):
        assert clock.now == 1000.25
    shared.yield_to_others(None)
    with shared.turn(1):
        assert clock.now == 1000.25 + throttle.BUSY_S


def test_rows_come_at_their_rate():
    shared, clock = simulated(8, 100)
    turns = []
    for _ in range(6):
        with shared.turn(50):
            turns.append(clock.now - 1000)
    assert turns == [0, 0.5, 1, 1.5, 2, 2.5]
    clock.now += 60
    for _ in range(4):
        with shared.turn(50):
            turns.append(clock.now - 1062.5)
    assert turns[6:] == [0, 0, 0, 0.5]  # of the minute's pause a second is made up for


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
