"""Exchanges: each ends once and gives back all that it held, whichever step waits, fails or never ends, whoever leaves when."""

import asyncio
import logging
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import InvalidInput, NotFound, ServingError
from signet.serving.gateway.core.exchange import Exchange
from signet.serving.gateway.core.inference import Inference, InferenceRequest
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings
from signet.serving.models import model_card
from signet.serving.models.independence import Verdict
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec

STEPS = ("receive", "read", "lease", "decode", "run", "encode")


def spec(name):
    return TensorSpec(name, dtypes.from_enum(1), (None,), f"{name}:0")


class Lease:
    """A version; counts who holds it."""

    def __init__(self):
        self.name, self.version, self.holders = "m", 3, 0
        self.signatures = {"serving_default": Signature("serving_default", {"x": spec("x")}, {"y": spec("y")})}
        self.card, self.joining, self.in_use = model_card.NONE, {"serving_default": Verdict(True, "")}, {}

    def release(self):
        assert self.holders > 0, "released twice"
        self.holders -= 1


class Scripted:
    """What happens in each step: `now`, `later`, `never`, an error at once, or later."""

    def __init__(self, script):
        self.script = dict(zip(STEPS, script, strict=True))

    def step(self, name, value):
        how, error = self.script[name]
        if how == "now":
            if error:
                raise error("told to")
            return value
        return self._later(how, error, value)

    async def _later(self, how, error, value):
        if how == "never":
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if error:
            raise error("told to")
        return value


class Backend:
    """One model, whose leases and calls go as the script of the request in work says."""

    def __init__(self, lease):
        self.models, self.held, self.refreshed = ["m"], lease, 0
        self.script = None

    def slots(self, model):
        return 2

    def room(self, model, quick):
        return 2

    def watch_room(self, told):
        pass

    def missing(self):
        return []

    def lease(self, model, version):
        def hold():
            self.held.holders += 1
            return self.held

        how, error = self.script.script["lease"]
        if how == "now" and not error:
            return hold()

        async def later():
            await self.script.step("lease", None)
            return hold()

        return later() if how != "now" else self.script.step("lease", None)

    async def refresh(self, model):
        self.refreshed += 1
        await asyncio.sleep(0)

    def run(self, lease, signature, inputs, outputs, timeout_s):
        assert lease.holders > 0, "a call without a holder"
        return self.script.step("run", {"y": inputs["x"] * 2})


class Asked(Exchange[float]):
    """A request; `replies` is what its caller got."""

    def __init__(self, inference, script, timeout_s):
        super().__init__("v1", inference)
        self.limit(timeout_s)
        self.script, self.replies, self.closed = script, [], 0

    def receive(self):
        return self.script.step("receive", b"x")

    def read(self, body):
        return self.script.step("read", InferenceRequest("m"))

    def decode(self, leased):
        return self.script.step("decode", ({"x": np.float32([1])}, ()))

    def encode(self, outputs):
        return self.script.step("encode", float(outputs["y"][0]))

    def send(self, answer):
        self.finish("OK", 1)
        self.replies.append(answer)

    def send_error(self, error):
        assert isinstance(error, ServingError)
        self.replies.append(error)
        return 0

    def close(self):
        self.closed += 1


async def until_ended(asked):
    for _ in range(1000):
        if all(each.ended for each in asked):
            return
        await asyncio.sleep(0)
    raise AssertionError("it hangs")


def counted(metrics):
    """Requests by code, without the rest of the page: hundreds of examples look twice each."""
    (family,) = metrics._requests.collect()
    return {sample.labels["code"]: sample.value for sample in family.samples}


step = st.tuples(
    st.sampled_from(["now", "now", "now", "later", "never"]),
    st.sampled_from([None, None, None, None, InvalidInput, NotFound, ValueError]),
)


@settings(max_examples=300, deadline=None)
@given(
    script=st.tuples(*[step] * len(STEPS)),
    timeout_s=st.sampled_from([30.0, 30.0, 0.003]),
    leaves_after=st.one_of(st.none(), st.integers(0, 12)),
)
def test_an_exchange_ends_once_and_gives_back_all_that_it_held(script, timeout_s, leaves_after):
    logging.getLogger("signet.serving.gateway.core.exchange").setLevel(logging.CRITICAL)

    async def run():
        wrong = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        lease = Lease()
        backend, metrics = Backend(lease), Metrics("0")
        backend.script = Scripted(script)
        inference = Inference(Settings(), backend, metrics)
        asked = Asked(inference, backend.script, timeout_s)
        asked.begin()
        left = leaves_after is None and any(how == "never" for how, _ in script) and timeout_s == 30.0
        for turn in range(1000):
            if asked.ended:
                break
            if turn == leaves_after or (left and turn == 50):
                replied = len(asked.replies)
                asked.cancel()
                assert asked.ended
                assert len(asked.replies) == replied == 0
                break
            await asyncio.sleep(0 if turn < 100 else 0.001)
        assert asked.ended, "it hangs"
        for _ in range(5):
            await asyncio.sleep(0)
        codes = counted(metrics)
        assert sum(codes.values()) == 1
        assert len(asked.replies) == (0 if set(codes) == {"CANCELLED"} else 1)
        if set(codes) == {"OK"}:
            assert asked.replies == [2.0]
        assert asked.closed == 1
        assert lease.holders == 0
        assert (inference._batcher.waiting(), len(inference._batcher.deadlines), len(inference.deadlines)) == (0, 0, 0)
        assert all(number.count == 0 for number in metrics.in_flight.values())
        assert (inference.admission.places.taken, inference.admission.places.used) == (0, {})
        assert backend.refreshed <= 1
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task goes on"
        asked.cancel()
        assert sum(counted(metrics).values()) == 1
        assert not wrong

    asyncio.run(run())


def test_a_request_whose_version_was_unloaded_is_tried_once_with_a_newer_one():
    async def run():
        lease = Lease()
        backend = Backend(lease)
        fine = ("now", None)
        script = Scripted([fine] * len(STEPS))
        backend.script = script
        gone = [NotFound("gone"), None]
        plain = backend.run

        def call(*arguments):
            error = gone.pop(0)
            if error:
                raise error
            return plain(*arguments)

        backend.run = call
        inference = Inference(Settings(), backend, Metrics("0"))
        asked = Asked(inference, script, 30.0)
        asked.begin()
        await until_ended([asked])
        assert (asked.replies, backend.refreshed, lease.holders) == ([2.0], 1, 0)

    asyncio.run(run())


def test_a_plain_request_makes_no_task_no_future_and_no_timer():
    made = SimpleNamespace(tasks=0, futures=0, timers=0)

    class Loop(asyncio.SelectorEventLoop):
        def create_task(self, *arguments, **options):
            made.tasks += 1
            return super().create_task(*arguments, **options)

        def create_future(self):
            made.futures += 1
            return super().create_future()

        def call_at(self, *arguments, **options):
            made.timers += 1
            return super().call_at(*arguments, **options)

    async def run():
        backend = Backend(Lease())
        backend.script = Scripted([("now", None)] * len(STEPS))
        inference = Inference(Settings(), backend, Metrics("0"))

        async def ask(count):
            before = vars(made).copy()
            asked = [Asked(inference, backend.script, 30.0) for _ in range(count)]
            for each in asked:
                each.begin()
            await until_ended(asked)
            assert all(each.replies == [2.0] for each in asked)
            return {kind: number - before[kind] for kind, number in vars(made).items()}

        await ask(1)  # the first one sets the timer of the sweep
        assert await ask(50) == {"tasks": 0, "futures": 0, "timers": 0}

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(run())
