"""Leases: nothing runs a session that may be freed, nothing keeps one for ever, whatever fails, leaves or goes meanwhile.

Random scenarios over several models, with the real repository, batcher and runners; only the session is made up: it
says who holds it, and stands still at a gate.
"""

import asyncio
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.engine.loading import load
from signet.serving.engine.repository import Repository
from signet.serving.engine.runner import Runner
from signet.serving.engine.servable import Servable
from signet.serving.errors import DeadlineExceeded, InvalidInput, NotFound, ServingError, from_code
from signet.serving.gateway.backends.embedded import EmbeddedBackend
from signet.serving.gateway.core.exchange import Exchange
from signet.serving.gateway.core.inference import Inference, InferenceRequest
from signet.serving.gateway.grpc.pipeline import GrpcServices
from signet.serving.gateway.grpc.v1_inference import MultiInference
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_dialect import example_inference
from signet.serving.model_server.tfs_batching.parameters import Parameters
from signet.serving.model_server.tfs_batching.scheduler import BatchScheduler
from signet.serving.models.model_config import ModelConfig, VersionPolicy
from signet.serving.offload.pool import Offload
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.process.supervision import Failures
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import inference_pb2, meta_graph_pb2
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway.in_process import Call

MODELS = ("a", "b", "c")
FLOAT, STRING = 1, 7


class Sessions:
    """Makes sessions and the versions around them; remembers what none of them should have seen."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.made: list[Servable] = []

    def load(self, name: str, version: int, path: Path) -> Servable:
        session = MadeUp(self)
        session.servable = Servable(name, version, session)
        self.made.append(session.servable)
        held = session.servable.hold

        def hold() -> None:
            try:
                held()
            except NotFound as error:
                self.wrong.append(f"called when nobody held it any more: {error}")
                raise

        session.servable.hold = hold
        return session.servable


class MadeUp:
    """Stands where TensorFlow's session does: a zero for every number or text; refuses negative ones."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions, self.freed = sessions, False
        self.servable: Servable | None = None
        self.meta_graph = _meta_graph().SerializeToString()

    def device_count(self) -> int:
        return 1

    def call(self, feeds, fetches):
        def run(arrays, options):
            (array,) = arrays
            self.check("begins")
            if array.dtype == object and feeds[0].startswith("two"):
                if any(array):
                    raise InvalidInput("this one takes only empty texts, and says so at once")
                return [np.zeros(len(array), np.float32)]
            if array.dtype != object and (array < 0).any():
                raise InvalidInput("negative")
            if not options.in_caller:
                self.sessions.entered.set()
                self.sessions.gate.wait(30)
            self.check("ends")
            return [np.zeros(len(array), np.float32)]

        return run

    def check(self, what: str) -> None:
        """Two hold it: the call itself, and whoever submitted it."""
        if self.freed or self.servable._users < 2:
            self.sessions.wrong.append(f"a call {what} with {self.servable._users} holders, freed: {self.freed}")

    def close(self) -> None:
        if self.freed or self.servable._users:
            self.sessions.wrong.append(f"freed with {self.servable._users} holders, freed before: {self.freed}")
        self.freed = True


def _meta_graph():
    message = meta_graph_pb2.MetaGraphDef()
    for name, alias, dtype, method in (
        ("serving_default", "x", FLOAT, "tensorflow/serving/predict"),
        ("one", "inputs", STRING, example_inference.REGRESS),
        ("two", "inputs", STRING, example_inference.REGRESS),
    ):
        definition = message.signature_def[name]
        definition.method_name = method
        for tensors, key, kind in ((definition.inputs, alias, dtype), (definition.outputs, "outputs", FLOAT)):
            tensors[key].name, tensors[key].dtype = f"{name}_{key}:0", kind
            tensors[key].tensor_shape.dim.add().size = -1
    return message


class Predict(Exchange[Arrays]):
    """A request for all outputs of a model, whose answer is not written."""

    def __init__(self, inference, model, values, timeout_s):
        super().__init__("v1", inference)
        self.limit(timeout_s)
        self.asked_for, self.values = InferenceRequest(model), values
        self.reply = asyncio.get_running_loop().create_future()

    def receive(self):
        return b""

    def read(self, body):
        return self.asked_for

    def decode(self, leased):
        return {"x": self.values}, ()

    def encode(self, outputs):
        return outputs

    def send(self, answer):
        self.finish("OK", 0)
        self.reply.set_result(answer)

    def send_error(self, error):
        self.reply.set_exception(error)
        return 0


class Gateway:
    """Requests through the gateway's parts."""

    def __init__(self, folder: Path, sessions: Sessions, threads: int) -> None:
        self.models = [ModelConfig(name, folder / name, VersionPolicy()) for name in MODELS]
        switches = ",".join(f"{name}=on" for name in MODELS)
        options = Settings(batch_max_rows=4, batch_models=switches)
        backend = EmbeddedBackend(self.models, options, Failures(), load=sessions.load)
        self.repository = backend._repository = Repository(self.models, poll_s=60.0, load=backend._loaded)
        self.backend = backend
        backend._runner = Runner(threads)
        backend.room = lambda *_: 1
        self.inference = Inference(options, backend, Metrics("0"))
        self.services = GrpcServices(self.inference, Offload(1), ByteBudget(1 << 30))

    async def predict(self, model, values, timeout_s):
        with suppress(NotFound):  # before a lease
            exchange = Predict(self.inference, model, values, timeout_s)
            await self._ended(exchange.begin, exchange.cancel, exchange.reply)

    async def several(self, model, values, timeout_s):
        message = inference_pb2.MultiInferenceRequest()
        for signature in ("one", "two"):
            task = message.tasks.add(method_name=example_inference.REGRESS)
            task.model_spec.name, task.model_spec.signature_name = model, signature
        for value in values:
            example = message.input.example_list.examples.add()
            if value:
                example.features.feature["x"].float_list.value.append(value)
        call = Call(timeout_s)
        exchange = MultiInference(self.services, message.SerializeToString(), call)
        ended = await self._ended(exchange.begin, exchange.cancel, call.ended)
        if isinstance(ended, tuple):
            raise from_code(*ended)

    async def _ended(self, begin, cancel, reply):
        begin()
        try:
            return await reply
        except asyncio.CancelledError:
            cancel()
            raise

    def waiting(self):
        return self.inference._batcher.waiting()

    async def stop(self):
        await self.backend.stop()


class ModelServer:
    """Calls as TensorFlow Serving's services make them, with its batching, large requests cut."""

    def __init__(self, folder: Path, sessions: Sessions, threads: int) -> None:
        self.models = [ModelConfig(name, folder / name, VersionPolicy()) for name in MODELS]
        parameters = SimpleNamespace(threads=threads, of=lambda _: Parameters(9, max_execution_batch_size=2))
        self.runner = BatchScheduler(Runner(threads), parameters)

        def made(name, version, path):
            servable = sessions.load(name, version, path)
            if name != "c":
                self.runner.admit(servable, path)
            return servable

        self.repository = Repository(self.models, poll_s=60.0, load=made)

    async def predict(self, model, values, timeout_s):
        servable = self.repository.lease(model)
        try:
            result = self.runner.run(servable, servable.signatures["serving_default"], {"x": values}, (), timeout_s)
            return result if isinstance(result, dict) else await result
        finally:
            servable.release()

    several = predict

    def waiting(self):
        batches = [batch for queue in self.runner._queues.values() for batch in queue._batches]
        return sum(not task.answer.done() for batch in batches for task in batch.tasks)

    async def stop(self):
        await asyncio.to_thread(self.repository.stop)
        self.runner.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("predict"), st.sampled_from(MODELS), st.lists(st.integers(-1, 9), max_size=5)),
        st.tuples(st.just("several"), st.sampled_from(MODELS), st.lists(st.integers(0, 1), min_size=1, max_size=3)),
        st.tuples(st.just("leave"), st.integers(0, 99), st.none()),
        st.tuples(st.just("swap"), st.sampled_from(MODELS), st.none()),
        st.tuples(st.just("remove"), st.sampled_from(MODELS), st.none()),
        st.tuples(st.sampled_from(["shut", "open", "turn"]), st.none(), st.none()),
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.parametrize("kind", [Gateway, ModelServer])
@settings(max_examples=25, deadline=None)
@given(steps=steps, threads=st.integers(1, 3), timeout_s=st.sampled_from([0.001, 30, 30]))
def test_no_session_runs_without_a_holder_and_every_close_ends(kind, steps, threads, timeout_s):
    sessions = Sessions()

    async def scenario(folder: Path) -> None:
        versions = dict.fromkeys(MODELS, 1)
        for name in MODELS:
            (folder / name / "1").mkdir(parents=True)
        served = kind(folder, sessions, threads)
        served.repository.start()
        await asyncio.to_thread(served.repository.first_pass.wait, 30)
        asked: list[asyncio.Task[object]] = []
        for verb, what, values in steps:
            if verb in ("predict", "several"):
                call = getattr(served, verb)(what, np.array(values, np.float32), timeout_s)
                asked.append(asyncio.create_task(call))
            elif verb == "leave" and asked:
                asked[what % len(asked)].cancel()
            elif verb in ("swap", "remove"):
                with suppress(FileNotFoundError):
                    (folder / what / str(versions[what])).rmdir()
                if verb == "swap":
                    versions[what] += 1
                    (folder / what / str(versions[what])).mkdir()
                served.repository.configure(served.models)  # looks at once
            elif verb == "shut":
                sessions.gate.clear()
            elif verb == "open":
                sessions.gate.set()
            await asyncio.sleep(0)
        sessions.gate.set()
        _, hanging = await asyncio.wait(asked, timeout=30) if asked else ((), ())
        assert not hanging
        await asyncio.wait_for(served.stop(), 30)
        for task in asked:
            error = None if task.cancelled() else task.exception()
            assert error is None or isinstance(error, (InvalidInput, NotFound, DeadlineExceeded)) or str(error), error
            assert error is None or isinstance(error, ServingError), error

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
    assert sessions.wrong == []
    assert all(servable.closed.is_set() for servable in sessions.made)


@pytest.mark.parametrize(("kind", "values"), [(Gateway, [1]), (ModelServer, [1, -1, 1, 1, 1, 1, 1])])
def test_a_request_of_several_calls_leaves_none_behind_when_one_fails(kind, values, tmp_path):
    async def scenario() -> None:
        (tmp_path / "a" / "1").mkdir(parents=True)
        sessions = Sessions()
        served = kind(tmp_path, sessions, 2)
        served.repository.start()
        await asyncio.to_thread(served.repository.first_pass.wait, 30)
        sessions.gate.clear()
        before = asyncio.create_task(served.several("a", np.float32([0]), 30))
        await asyncio.to_thread(sessions.entered.wait, 30)
        with pytest.raises(InvalidInput):
            await served.several("a", np.float32(values), 30)
        assert served.waiting() == 0
        sessions.gate.set()
        await before
        await served.stop()
        assert sessions.wrong == []

    asyncio.run(scenario())


def test_a_version_on_its_way_out_answers_those_who_hold_it_and_refuses_when_it_is_freed():
    servable = load("three_out", 7, GOLDEN_MODELS / "three_out" / "1")
    signature, row = servable.signatures["serving_default"], {"x": np.ones((1, 4), np.float32)}
    runner = Runner(1)

    async def asked():
        return await runner.run(servable, signature, row)

    assert servable.acquire()
    servable.close()
    servable.close()
    assert set(asyncio.run(asked())) == {"p", "q", "r"}, "the caller holds it"
    servable.release()
    assert servable.closed.is_set()
    assert not servable.acquire()
    for call in (lambda: servable.predict(signature, row), lambda: asyncio.run(asked())):
        with pytest.raises(NotFound, match=r"Servable not found for request: Specific\(three_out, 7\)"):
            call()
    runner.close()
