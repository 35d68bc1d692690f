"""Worker processes: what they are sent and give back, and how they end."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput, Overloaded, TooLarge, Unavailable
from signet.serving.offload import large_bodies, wire, worker
from signet.serving.offload import pool as offload
from signet.serving.offload.pool import Offload
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.servers import ROOT

FLOAT = dtypes.from_numpy(np.dtype(np.float32))
ROWS = Signature("serving_default", {"x": TensorSpec("x", FLOAT, (None, 2), "x:0")}, {})


def there_and_back(value):
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor() as threads:
        sent = threads.submit(wire.send, ours, wire.out_of_band(value))
        got = wire.receive(theirs)
        sent.result()
        return got


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(max_size=3), st.lists(st.binary(max_size=5), max_size=20)),
    st.sampled_from([row.numpy for row in dtypes.ROWS if not row.is_string]),
    st.lists(st.integers(0, 3), max_size=3),
    st.binary(max_size=40),
)
def test_messages_arrive_as_they_were_sent(strings, dtype, shape, text):
    arrays = {name: np.array([*values, None], object)[:-1] for name, values in strings.items()}
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    got_arrays, got_numbers, got_text = there_and_back((arrays, numbers, text))
    assert {name: array.tolist() for name, array in got_arrays.items()} == strings
    assert (got_numbers.dtype, got_numbers.tobytes(), got_numbers.shape) == (dtype, numbers.tobytes(), tuple(shape))
    assert (type(got_text), got_text) == (bytes, text)


def test_strings_keep_their_shape():
    array = np.array([[b"a", b"", b"ccc"]] * 9000, object)
    assert np.array_equal(there_and_back(array), array)


def run(work, **settings):
    async def main():
        pool = Offload(**settings)
        try:
            await work(pool)
        finally:
            await pool.close()

    asyncio.run(main())


def test_a_body_is_read_in_two_steps_and_an_answer_written_as_in_this_process():
    async def work(pool):
        async with pool.session() as session:
            head = await session.step(
                large_bodies.parse_predict, b'{"instances": [[1, 2], [3, 4]], "output_filter": ["y"]}'
            )
            assert (head.layout, head.value, head.output_filter) == (Layout.ROWS, None, ("y",))
            arrays = await session.step(large_bodies.decode_predict, ROWS, None)
        assert (arrays["x"].tolist(), arrays["x"].dtype) == ([[1, 2], [3, 4]], np.float32)
        text = await pool.call(large_bodies.encode_predict, arrays, Layout.COLUMNS, True, "bare")
        assert text == b'{"outputs":{"x":[[1.0,2.0],[3.0,4.0]]}}'

    run(work, workers=1)


def test_errors_come_back_as_themselves_and_bugs_with_their_traceback():
    async def work(pool):
        first = await pool.call(os.getpid)
        with pytest.raises(InvalidInput, match=r"^send either 'instances' \(rows\) or 'inputs' \(columns\): neither"):
            await pool.call(large_bodies.parse_predict, {}, b"{}")
        with pytest.raises(offload.Bug, match=r"Traceback(.|\n)*ValueError: invalid literal"):
            await pool.call(int, "x")
        with pytest.raises(InvalidInput, match="takes more than 2048 MB of memory"):
            await pool.call(bytes, worker.MOST_BYTES + 1)
        assert await pool.call(os.getpid) == first

    run(work, workers=1)


def test_a_worker_of_a_large_server_is_kept():
    """What the server holds is not what its workers hold."""
    script = """
import asyncio, os
from signet.serving.offload.pool import Offload

async def main():
    held = bytearray(offload_worker._RETIRE_BYTES + (64 << 20))
    held[::4096] = b"x" * len(held[::4096])
    pool = Offload(1)
    assert await pool.call(os.getpid) == await pool.call(os.getpid)
    await pool.close()

if __name__ == "__main__":
    from signet.serving.offload import worker as offload_worker
    asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_refused_body_is_let_go_without_the_garbage_collector():
    """A server's collector comes late: each bad body of a megabyte stayed for minutes, with the error that refused it."""

    async def work(pool):
        refusals = []
        for body in (b"{}", b"["):
            try:
                await pool.call(large_bodies.parse_predict, {}, body)
            except InvalidInput as error:
                refusals.append(weakref.ref(error))
        async with asyncio.timeout(30):
            while any(refusal() for refusal in refusals):  # noqa: ASYNC110  # its thread may not have let go yet
                await asyncio.sleep(0.01)

    gc.disable()
    try:
        run(work, workers=1)
    finally:
        gc.enable()


def test_a_worker_that_dies_fails_its_caller_alone_and_is_replaced():
    async def work(pool):
        first = await pool.call(os.getpid)
        with pytest.raises(Unavailable, match="has died; try again"):
            await pool.call(os._exit, 3)
        assert await pool.call(os.getpid) != first

    run(work, workers=1)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_worker_whose_caller_leaves_is_killed():
    async def work(pool):
        async with pool.session() as session:
            pid = await session.call(os.getpid)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.call(time.sleep, 600), 0.01)
        async with asyncio.timeout(30):
            while not gone(pid):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        assert await pool.call(os.getpid) != pid

    run(work, workers=1)


def test_a_worker_that_is_given_back_at_work_is_nobody_elses():
    """The caller's step is cancelled only after others may have taken a worker."""

    async def work(pool):
        session = await pool.acquire()
        asking = asyncio.create_task(session.step(keep_busy))
        await asyncio.sleep(0.2)
        asking.cancel()
        session.release()
        answers = await asyncio.gather(*(pool.call(os.getpid) for _ in range(4)), asking, return_exceptions=True)
        assert all(isinstance(answer, int) for answer in answers[:4]), answers
        assert isinstance(answers[4], asyncio.CancelledError)

    run(work, workers=1)


def keep_busy(_):
    time.sleep(30)


def test_too_many_who_wait_are_refused(monkeypatch):
    monkeypatch.setattr(offload, "_WAITING", 2)
    refused = []

    async def work(pool):
        async with pool.session() as session:
            waiting = [asyncio.create_task(pool.call(os.getpid)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="2 large bodies wait to be read or written"):
                await pool.call(os.getpid)
            assert refused == [1]
            pid = await session.call(os.getpid)
        assert await asyncio.gather(*waiting) == [pid, pid]

    run(work, workers=1, refused=lambda: refused.append(1))


def test_a_worker_forgets_what_a_session_left_and_ends_with_its_server():
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(worker.command(theirs.fileno()), pass_fds=[theirs.fileno()])
    with ours:
        wire.send(ours, (large_bodies.parse_predict, (b'{"instances": [1]}',), True))
        assert wire.receive(ours)[0] == "ok"
        wire.send(ours, worker.FORGET)
        wire.send(ours, (large_bodies.decode_predict, (ROWS, None), True))
        kind, text, _ = wire.receive(ours)
        assert (kind, "KeyError" in text) == ("bug", True)
    assert process.wait(30) == 0


def test_a_worker_that_aborts_had_no_memory():
    async def work(pool):
        with pytest.raises(TooLarge, match="takes more than 2048 MB of memory"):
            await pool.call(os.abort)

    run(work, workers=1)


@pytest.mark.parametrize("rows", [0, 1, 1 << 14, (1 << 14) + 1])
def test_rows_that_are_written_some_at_a_time_are_as_if_they_were_not(rows):
    outputs = {"p": np.arange(2.0 * rows).reshape(rows, 2), "s": np.array([b"a"] * rows, object)}
    outputs["p"][rows // 2 :, 1] = np.nan
    for layout in Layout:
        text = large_bodies.encode_predict(outputs, layout, False, "string")
        assert text == json_codec.encode(outputs, layout, non_finite="string")


def test_outputs_without_equal_rows_are_refused_in_rows():
    outputs = {"a": np.zeros(3), "b": np.zeros(2)}
    with pytest.raises(InvalidInput, match="different numbers of rows"):
        large_bodies.encode_predict(outputs, Layout.ROWS, False, "bare")


def test_a_worker_loads_no_server_and_no_engine():
    async def work(pool):
        jobs = (
            "offload.large_bodies offload.large_messages gateway.backends.remote_answers model_server.rest.large_bodies"
        )
        await pool.call(exec, "\n".join(f"import signet.serving.{name}" for name in jobs.split()))
        loaded = await pool.call(eval, "list(__import__('sys').modules)")
        heavy = {
            "grpc",
            "fastapi",
            "pydantic",
            "asyncio",
            "signet.serving.engine.tensorflow_c",
            "signet.serving.http.server",
        }
        assert not heavy.intersection(loaded)
        assert not [name for name in loaded if name.startswith("tensorflow.python")]

    run(work, workers=1)


def test_an_idle_worker_ends(monkeypatch):
    monkeypatch.setattr(offload, "_IDLE_S", 0.0)

    async def work(pool):
        pid = await pool.call(os.getpid)
        async with asyncio.timeout(30):
            while not gone(pid):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        assert await pool.call(os.getpid) != pid

    run(work, workers=1)


def test_whoever_waits_when_the_pool_is_closed_is_told_so():
    async def main():
        pool = Offload(1)
        async with pool.session() as session:
            await session.call(os.getpid)
            waiting = asyncio.create_task(session.call(time.sleep, 600))
            await asyncio.sleep(0)
            await asyncio.wait_for(pool.close(), 30)
            with pytest.raises(Unavailable):
                await waiting

    asyncio.run(main())
