"""Background work goes on, whatever a step raises."""

import threading

from signet.serving.process.supervision import Background, Backoff, Failures


def test_a_step_that_fails_is_counted_and_made_again(caplog):
    failures, done, steps = Failures(), threading.Event(), []

    def step() -> float | None:
        steps.append(len(steps))
        if len(steps) == 1:
            raise RuntimeError("Set changed size during iteration")
        done.set()
        return None

    background = Background("repository", step, failures)
    background.start()
    background.wake()  # not to wait for the pause
    assert done.wait(30)
    assert background.join(30)
    assert (steps, failures.counts()["repository"]) == ([0, 1], 1)
    assert "background work 'repository' failed; trying again in 1 s" in caplog.text


def test_every_task_has_a_count_from_the_start():
    assert set(Failures().counts().values()) == {0}


def test_pauses_grow_up_to_the_longest_and_begin_anew():
    pause = Backoff(60)
    assert [pause.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    pause.reset()
    assert pause.failed() == 1


def test_a_stop_ends_a_step_that_waits():
    waiting = threading.Event()

    def step() -> float | None:
        waiting.set()
        assert not background.pause(3600)
        return 0.0

    background = Background("repository", step, Failures())
    background.start()
    assert waiting.wait(30)
    background.stop()
    assert background.join(30)
