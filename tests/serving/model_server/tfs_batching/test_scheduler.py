"""The queues: what shares a call, what is refused, who gets which error; answers equal those of single calls."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.engine.loading import load
from signet.serving.engine.runner import Runner
from signet.serving.errors import FailedPrecondition, Internal, InvalidInput, Overloaded, ServingError, Unavailable
from signet.serving.model_server.tfs_batching.parameters import Parameters
from signet.serving.model_server.tfs_batching.scheduler import BatchScheduler
from tests.answers import assert_close
from tests.servers import GOLDEN_MODELS


class All:
    """Batches every version by the same parameters."""

    def __init__(self, threads, parameters):
        self.threads, self.parameters = threads, parameters

    def of(self, path):
        return self.parameters


class Gate:
    """Stands before a real version: calls stop until it opens; remembers their rows."""

    def __init__(self, servable):
        self.calls, self.open = [], threading.Event()
        self._predict, self._entered = servable.predict, threading.Semaphore(0)
        servable.predict = self.predict
        servable.loops = True  # never inline: the event loop would stop at the gate
        self.open.set()

    def predict(self, signature, inputs, outputs=(), options=None):
        array = next(iter(inputs.values()))
        self.calls.append(len(array) if array.ndim else None)
        self._entered.release()
        assert self.open.wait(30)
        return self._predict(signature, inputs, outputs, options)

    async def entered(self):
        """Until one more call stands at the gate."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=30)


@pytest.fixture
def mixed():
    servable = load("mixed", 1, GOLDEN_MODELS / "mixed" / "1")
    yield servable
    servable.close()


@pytest.fixture
def gate(mixed):
    return Gate(mixed)


def batched(servable, parameters, threads=1):
    runner = BatchScheduler(Runner(1), All(threads, parameters))
    runner.admit(servable, GOLDEN_MODELS)
    return runner


def doubled(runner, servable, *values, dtype=np.int32, **options):
    """x * 2, of int32, each value a row."""
    array = np.array(values, dtype)
    return asyncio.ensure_future(runner.run(servable, servable.signatures["i"], {"i": array}, **options))


def results(futures):
    return [future["y"].tolist() for future in futures]


def run(coroutine):
    return asyncio.run(coroutine)


def test_what_arrives_together_and_while_all_threads_are_busy_shares_calls(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(4))
        assert results(await asyncio.gather(*(doubled(runner, mixed, i) for i in range(3)))) == [[0], [2], [4]]
        await gate.entered()
        gate.open.clear()
        first = doubled(runner, mixed, 1)
        await gate.entered()
        rest = [doubled(runner, mixed, *range(rows)) for rows in (2, 1, 3, 1)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, *rest)
        assert gate.calls == [3, 1, 3, 4]
        runner.close()

    run(main())


def test_an_open_batch_waits_for_more_but_not_when_it_is_full(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(2, batch_timeout_s=3600))
        assert results(await asyncio.gather(doubled(runner, mixed, 1), doubled(runner, mixed, 2))) == [[2], [4]]
        runner.close()
        runner = batched(mixed, Parameters(2, batch_timeout_s=0.05))
        started = asyncio.get_running_loop().time()
        assert results([await doubled(runner, mixed, 1)]) == [[2]]
        assert asyncio.get_running_loop().time() - started >= 0.05
        assert gate.calls == [2, 1]
        runner.close()

    run(main())


def test_a_full_queue_refuses_at_once_and_other_queues_go_on(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(2, max_enqueued_batches=2))
        gate.open.clear()
        running = doubled(runner, mixed, 0)
        await gate.entered()
        waiting = [doubled(runner, mixed, i) for i in range(4)]
        with pytest.raises(
            Unavailable,
            match="The batch scheduling queue to which this task was submitted is full; "
            "currently 2 batches enqueued and max_enqueued_batches is 2",
        ):
            doubled(runner, mixed, 9)
        other = asyncio.ensure_future(runner.run(mixed, mixed.signatures["u8"], {"x": np.array([7], np.uint8)}))
        gate.open.set()
        assert results(await asyncio.gather(running, *waiting, other)) == [[0], [0], [2], [4], [6], [7]]
        assert gate.calls == [1, 2, 1, 2], "the queues take turns"
        runner.close()

    run(main())


def test_more_in_one_turn_of_the_loop_than_a_queue_holds_is_no_reason_to_refuse(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(2, max_enqueued_batches=1), threads=4)
        await asyncio.gather(*(doubled(runner, mixed, i) for i in range(8)))
        assert sum(gate.calls) == 8
        runner.close()

    run(main())


def test_requests_that_are_too_large(mixed):
    async def main():
        runner = batched(mixed, Parameters(3))
        with pytest.raises(InvalidInput, match="Task size 4 is larger than maximum input batch size 3"):
            doubled(runner, mixed, 1, 2, 3, 4)
        runner.close()

    run(main())


def test_large_requests_are_cut_to_fill_the_open_batch_and_put_together_again(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(20, max_execution_batch_size=4, max_enqueued_batches=4))
        gate.open.clear()
        running = doubled(runner, mixed, 0)
        await gate.entered()
        futures = [doubled(runner, mixed, *range(rows)) for rows in (3, 6, 2)]
        with pytest.raises(Unavailable, match="task size is 7 but scheduling capacity is only 5"):
            doubled(runner, mixed, *range(7))
        gate.open.set()
        answers = results(await asyncio.gather(running, *futures))
        assert answers == [[0], *([2 * i for i in range(rows)] for rows in (3, 6, 2))]
        assert gate.calls == [1, 4, 4, 3]
        runner.close()

    run(main())


def test_an_error_of_a_call_is_every_members(mixed):
    async def main():
        runner = batched(mixed, Parameters(8))
        signature = mixed.signatures["fail"]
        futures = [
            asyncio.ensure_future(runner.run(mixed, signature, {"x": np.array([value], np.float32)}))
            for value in (1, -1, 2)
        ]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(answer, InvalidInput) and "x must be positive" in str(answer) for answer in answers)
        assert results([await runner.run(mixed, signature, {"x": np.array([1], np.float32)})]) == [[1]]
        runner.close()

    run(main())


@pytest.mark.parametrize(
    ("values", "pad", "error", "expected"),
    [
        (([[1.0]], [[1.0, 2.0]]), False, FailedPrecondition, None),
        (([[1.0]], [[1.0, 2.0]]), True, None, [[[2, 2]], [[2, 4]]]),  # padded outputs are not cut back
        (([[1.0]], [[1]]), False, Internal, None),
    ],
)
def test_other_shapes_and_types_in_one_batch(mixed, values, pad, error, expected):
    async def main():
        runner = batched(mixed, Parameters(8, pad_variable_length_inputs=pad))
        arrays = [np.array(value, np.float32 if isinstance(value[0][0], float) else np.int32) for value in values]
        futures = [
            asyncio.ensure_future(runner.run(mixed, mixed.signatures["serving_default"], {"x": array}))
            for array in arrays
        ]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        if error:
            assert all(isinstance(answer, error) for answer in answers)
        else:
            assert results(answers) == expected
        runner.close()

    run(main())


def test_calls_are_filled_up_to_an_allowed_size(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(8, allowed_batch_sizes=(4, 8)))
        told = []
        runner.observe = lambda model, waited_s, rows, size: told.append((model, len(waited_s), rows, size))
        answers = await asyncio.gather(doubled(runner, mixed, 1), doubled(runner, mixed, 2, 3))
        assert results(answers) == [[2], [4, 6]]
        assert gate.calls == [4]
        assert told == [("mixed", 2, [1, 2], 4)]
        runner.close()

    run(main())


def test_a_batch_lives_as_long_as_the_latest_of_its_members(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(8))
        gate.open.clear()
        running = doubled(runner, mixed, 0)
        await gate.entered()
        short = doubled(runner, mixed, 1, timeout_s=0.0)
        long = doubled(runner, mixed, 2, timeout_s=30)
        await asyncio.sleep(0)
        gate.open.set()
        assert results(await asyncio.gather(running, short, long)) == [[0], [2], [4]]
        gate.open.clear()
        running = doubled(runner, mixed, 0)
        await gate.entered()
        await gate.entered()
        short = [doubled(runner, mixed, i, timeout_s=0.0) for i in range(2)]
        await asyncio.sleep(0)
        gate.open.set()
        assert results([await running]) == [[0]]
        for future in short:
            with pytest.raises(Overloaded, match=r"Run\(\) timeout exceeded while waiting in batching queue"):
                await future
        runner.close()

    run(main())


def test_callers_who_left_cost_no_call_and_what_runs_keeps_the_version_loaded(mixed, gate):
    async def main():
        runner = batched(mixed, Parameters(8))
        assert mixed.acquire()
        gate.open.clear()
        running = doubled(runner, mixed, 0)
        await gate.entered()
        waiting = doubled(runner, mixed, 1)
        await asyncio.sleep(0)
        running.cancel()
        waiting.cancel()
        mixed.release()
        mixed.close()
        assert not mixed.closed.is_set()
        gate.open.set()
        assert await asyncio.to_thread(mixed.closed.wait, 30)
        assert gate.calls == [1]
        runner.close()

    run(main())


def test_a_request_without_rows_goes_alone(mixed):
    async def main():
        runner = batched(mixed, Parameters(8, batch_timeout_s=9))
        assert results([await doubled(runner, mixed)]) == [[]]
        runner.close()

    run(main())


def test_signatures_of_the_same_tensors_share_a_queue_and_versions_never_do(gate, mixed):
    async def main():
        classes = load("clsreg", 1, GOLDEN_MODELS / "clsreg" / "1")
        other = load("mixed", 2, GOLDEN_MODELS / "mixed" / "1")
        runner = batched(classes, Parameters(8))
        for servable in (mixed, other):
            runner.admit(servable, GOLDEN_MODELS)
        gates = Gate(classes), Gate(other)
        example = np.array([bytes.fromhex("0a130a110a0178120c120a0a080000803f00000040")], object)
        regress, predict = (
            asyncio.ensure_future(runner.run(classes, classes.signatures[signature], {alias: example}, [output]))
            for signature, alias, output in (("regress", "inputs", "outputs"), ("predict", "examples", "reg"))
        )
        assert (await regress)["outputs"].tolist() == (await predict)["reg"].tolist() == [6]
        assert results(await asyncio.gather(doubled(runner, mixed, 1), doubled(runner, other, 2))) == [[2], [4]]
        assert [gates[0].calls, gate.calls, gates[1].calls] == [[2], [1], [1]]
        runner.close()
        for servable in (classes, other):
            servable.close()

    run(main())


def test_versions_without_parameters_are_not_batched(mixed, gate):
    async def main():
        runner = batched(mixed, None)
        answers = await asyncio.gather(
            *(runner.run(mixed, mixed.signatures["i"], {"i": np.int32([i])}) for i in (1, 2))
        )
        assert results(answers) == [[2], [4]]
        assert results([await runner.run(mixed, mixed.signatures["scalar"], {"x": np.array(2, np.float32)})]) == [4]
        assert gate.calls == [1, 1, None]
        runner.close()

    run(main())


@pytest.fixture(scope="module")
def real():
    servables = {name: load(name, 1, GOLDEN_MODELS / name / "1") for name in ("mixed", "three_out", "two_in")}
    yield servables
    for servable in servables.values():
        servable.close()


requests = st.one_of(
    st.tuples(st.just(("three_out", "serving_default")), st.permutations("pqr"), st.integers(0, 3), st.just(4)),
    st.tuples(st.just(("two_in", "serving_default")), st.just(()), st.integers(0, 3), st.just(0)),
    st.tuples(st.just(("mixed", "serving_default")), st.just(()), st.integers(0, 3), st.integers(1, 2)),
    st.tuples(st.just(("mixed", "s")), st.permutations(["len", "echo"]), st.integers(0, 3), st.just(0)),
)


def arrays(signature, rows, width, seed):
    random = np.random.default_rng(seed)
    made = {}
    for name, spec in signature.inputs.items():
        shape = (rows, *(width if size is None else size for size in spec.shape[1:]))
        numbers = random.integers(0, 9, shape)
        made[name] = numbers.astype(bytes).astype(object) if spec.dtype.is_string else numbers.astype(spec.dtype.numpy)
    return made


@settings(max_examples=60, deadline=None)
@given(
    sent=st.lists(st.tuples(requests, st.integers(0, 3)), min_size=1, max_size=24),
    parameters=st.sampled_from(
        [
            Parameters(3),
            Parameters(8),
            Parameters(8, allowed_batch_sizes=(2, 5, 8)),
            Parameters(8, batch_timeout_s=0.0),
        ]
    ),
    cut=st.booleans(),
    threads=st.integers(1, 3),
)
def test_batched_answers_equal_those_given_alone(real, sent, parameters, cut, threads):
    """Over mixes of shapes, filters and concurrency; only different shapes in one batch fail, as in the original."""
    if cut and not parameters.allowed_batch_sizes:
        parameters = Parameters(8, max_execution_batch_size=2, batch_timeout_s=parameters.batch_timeout_s)

    async def ask(runner, seed, model, signature, outputs, inputs, pause):
        for _ in range(pause):
            await asyncio.sleep(0)
        try:
            answer = runner.run(real[model], signature, inputs, outputs)
            return answer if isinstance(answer, dict) else await answer
        except ServingError as error:
            return error

    async def main():
        runner = BatchScheduler(Runner(1), All(threads, parameters))
        prepared = []
        for seed, (((model, name), outputs, rows, width), pause) in enumerate(sent):
            runner.admit(real[model], GOLDEN_MODELS)
            signature = real[model].signatures[name]
            wanted = tuple(outputs)[: seed % 3 + 1]
            prepared.append((seed, model, signature, wanted, arrays(signature, rows, width, seed), pause))
        answers = await asyncio.gather(*(ask(runner, *request) for request in prepared))
        runner.close()
        return prepared, answers

    prepared, answers = run(main())
    widths = {
        array.shape[1:]
        for _, model, signature, _, inputs, _ in prepared
        if model == "mixed"
        for array in inputs.values()
    }
    for (_, model, signature, wanted, inputs, _), answer in zip(prepared, answers, strict=True):
        if isinstance(answer, FailedPrecondition) and signature.name == "serving_default" and model == "mixed":
            assert len(widths) > 1
            continue
        expected = real[model].predict(signature, inputs, wanted)
        assert not isinstance(answer, Exception), answer
        assert list(answer) == list(expected)
        for name, array in expected.items():
            if array.dtype.kind == "f":
                assert_close(answer[name], array)
            else:
                np.testing.assert_array_equal(answer[name], array)
