"""The C API binding on real SavedModels."""

import gc
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from signet.serving.engine.tensorflow_c import RunOptions, Session, version
from signet.serving.errors import DeadlineExceeded, InvalidInput, NotFound, ServingError, Unavailable
from tests.servers import GOLDEN_MODELS, ROOT


@pytest.fixture(scope="module")
def mixed():
    session = Session(GOLDEN_MODELS / "mixed" / "1")
    yield session
    session.close()


def test_it_is_the_release_that_the_exports_are_made_with():
    assert version() == "2.20.0"


@pytest.mark.parametrize(
    ("feed", "fetch", "array", "expected"),
    [
        ("i_i:0", "PartitionedCall_5:0", np.array([1, -2], np.int32), [2, -4]),
        ("i64_i:0", "PartitionedCall_6:0", np.array([1 << 40], np.int64), [1 << 41]),
        ("u8_x:0", "PartitionedCall_11:0", np.array([0, 255], np.uint8), [0, 255]),
        ("b_b:0", "PartitionedCall:0", np.array([True, False]), [False, True]),
        ("d1_x:0", "PartitionedCall_2:0", np.array([0.25, 1e300]), [0.5, 2e300]),
        ("hf_x:0", "PartitionedCall_4:0", np.array([0.5, 2], np.float16), [0.5, 2]),
        ("f1_x:0", "PartitionedCall_3:0", np.array([], np.float32), []),
        ("scalar_x:0", "PartitionedCall_9:0", np.array(1.5, np.float32), 3.0),
        ("s_s:0", "PartitionedCall_8:0", np.array([b"a", b"\x00\xff", b"", b"x" * 99], object), None),
    ],
)
def test_every_dtype_goes_in_and_out(mixed, feed, fetch, array, expected):
    (back,) = mixed.call([feed], [fetch])([array])
    assert back.dtype == array.dtype
    assert back.tolist() == (array.tolist() if expected is None else expected)


def test_outputs_survive_the_inputs_they_share_memory_with(mixed):
    call = mixed.call(["s_s:0"], ["PartitionedCall_8:0"])
    arrays = [call([np.array([bytes([65 + i]) * 50], object)])[0] for i in range(20)]
    assert [array[0] for array in arrays] == [bytes([65 + i]) * 50 for i in range(20)]


@pytest.mark.parametrize("in_caller", [True, False])
def test_wrong_dtypes_and_shapes_are_the_callers_fault(in_caller):
    session = Session(GOLDEN_MODELS / "mlp" / "1")
    call = session.call(["serving_default_x:0"], ["StatefulPartitionedCall_1:0"])
    with pytest.raises(InvalidInput, match="Expects arg"):
        call([np.zeros((1, 16), np.int32)], RunOptions(in_caller=in_caller))
    with pytest.raises(InvalidInput, match="Matrix size-incompatible"):
        call([np.zeros((1, 3), np.float32)], RunOptions(in_caller=in_caller))
    session.close()


def test_unknown_tensors_are_refused(mixed):
    for name in ("nothing:0", "s_s:1", "s_s:-1"):
        with pytest.raises(InvalidInput, match="the graph has no tensor"):
            mixed.call([name], ["PartitionedCall_8:0"])


def test_missing_and_broken_models_say_so(tmp_path):
    with pytest.raises(NotFound, match="Could not find SavedModel"):
        Session(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"not a protobuf")
    with pytest.raises(ServingError) as caught:
        Session(tmp_path)
    assert caught.value.grpc_code == "OUT_OF_RANGE"
    with pytest.raises(NotFound, match="tags"):
        Session(GOLDEN_MODELS / "mlp" / "1", tags=["gpu"])


def test_a_closed_session_answers_no_more(mixed):
    session = Session(GOLDEN_MODELS / "clsreg" / "1")
    session.close()
    session.close()
    with pytest.raises(Unavailable, match="closed"):
        session.call(["ex:0"], ["ex:0"])


def test_a_call_stops_at_its_timeout(slow_model):
    session = Session(slow_model)
    call = session.call(["serving_default_steps:0"], ["PartitionedCall:0"])
    with pytest.raises(DeadlineExceeded):
        call([np.array([1 << 30], np.int32)], RunOptions(timeout_s=0.1))
    assert call([np.array([3], np.int32)], RunOptions(timeout_s=10))[0].tolist() == [3]
    session.close()


def test_the_interpreter_goes_on_while_a_call_runs(slow_model):
    session = Session(slow_model)
    call = session.call(["serving_default_steps:0"], ["PartitionedCall:0"])
    ended = threading.Event()

    def run() -> None:
        with pytest.raises(DeadlineExceeded):
            call([np.array([1 << 30], np.int32)], RunOptions(timeout_s=0.5))
        ended.set()

    thread = threading.Thread(target=run)
    started = last = time.perf_counter()
    thread.start()
    longest = 0.0
    while not ended.is_set():
        last, before = time.perf_counter(), last
        longest = max(longest, last - before)
    thread.join()
    assert longest < 0.5 * (last - started), "this thread stood still while the call ran"
    session.close()


def test_numpy_random_can_be_imported_afterwards():
    code = "import signet.serving.engine.tensorflow_c, numpy.random; print(numpy.random.default_rng(0).random())"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def load_and_unload(times: int) -> None:
    for _ in range(times):
        session = Session(GOLDEN_MODELS / "mlp" / "1")
        call = session.call(["serving_default_x:0"], ["StatefulPartitionedCall_1:0"])
        call([np.zeros((1, 16), np.float32)])
        session.close()


@pytest.mark.server
def test_200_loads_and_unloads_keep_no_memory():
    load_and_unload(50)  # pools of the allocator and caches of the library fill
    gc.collect()
    before = resident_bytes()
    load_and_unload(200)
    gc.collect()
    assert resident_bytes() < 1.005 * before
