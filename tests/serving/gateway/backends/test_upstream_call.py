"""Calls on model servers in simulated time: one answer each, everything given back, no budget exceeded, whatever servers do."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import BadGateway, DeadlineExceeded, Overloaded, ServingError, Unavailable
from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.hedging import SHARE, HedgeAfter, Hedging
from signet.serving.gateway.backends.retry_budget import RetryBudget
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.core.backend import SignatureChanged
from signet.serving.gateway.observability.metrics import Metrics
from tests.serving.gateway.backends.simulated import GOOD, Channel, Loop, Said, run
from tests.serving.gateway.other_program import metadata

RETRIES = 0.2
ANSWERS = [GOOD, GOOD, GOOD, b"bad", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "INTERNAL", "CANCELLED"]


def read(answer: bytes) -> bytes:
    if answer == GOOD:
        return answer
    raise BadGateway("the answer is none")


class Servers:
    """Some simulated servers behind one upstream, all of which hold the lease."""

    def __init__(self, scripts, hedge_after=None, budget=None):
        self.channels = [Channel(script) for script in scripts]
        waiting = list(self.channels)
        self.metrics = Metrics("test")
        places = [Address(f"server:{i + 1}") for i in range(len(scripts))]
        self.upstream = Upstream(
            places,
            self.metrics,
            lambda _: waiting.pop(0) if waiting else Channel(scripts[0]),
            budget or RetryBudget(RETRIES, per_second=0, saved=0),
            hedging=Hedging(hedge_after) if hedge_after else None,
        )

    async def start(self):
        await self.upstream.start()
        for server in self.upstream.servers:
            await self.poll(server)
        return self.lease()

    async def poll(self, server):
        await self.upstream.poll_status(server, "m", 2.0)
        await self.upstream.ledger.learn(server, "m", 1)

    def lease(self):
        return self.upstream.ledger.variants("m", 1)[0]

    def call(self, lease, timeout_s=10.0):
        return self.upstream.predict("m", 1, b"request", timeout_s, read, None, lease)

    @property
    def predicts(self):
        return sum(channel.predicts for channel in self.channels)

    def counted(self, name):
        return self.metrics.registry.get_sample_value(f"signet_upstream_{name}_total", {"model": "m"}) or 0


said = st.builds(Said, st.sampled_from([0.001, 0.01, 0.09, 0.5, 3.0, 20.0]), st.sampled_from(ANSWERS))


@given(
    scripts=st.lists(st.lists(said, min_size=1, max_size=6), min_size=1, max_size=3),
    hedge_after=st.sampled_from([None, HedgeAfter(0.05), HedgeAfter(None)]),
    leaves_s=st.lists(st.sampled_from([None, None, None, 0.0, 0.02, 0.2]), min_size=1, max_size=60),
    reconnects=st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 1.0)), max_size=3),
    seed=st.integers(0, 9),
)
@settings(max_examples=40)
def test_a_call_ends_once_gives_everything_back_and_keeps_to_its_budgets(
    scripts, hedge_after, leaves_s, reconnects, seed
):
    chance = random.Random(seed)
    monkeypatch = pytest.MonkeyPatch()

    async def work(loop: Loop):
        servers = Servers([lambda script=script: chance.choice(script) for script in scripts], hedge_after)
        lease = await servers.start()
        for place, after_s in reconnects:
            loop.call_later(after_s, servers.channels[place % len(scripts)].reconnect)
        asked = []
        for leave_s in leaves_s:
            call = servers.call(lease)
            asked.append(call)
            if leave_s is not None:
                loop.call_later(leave_s, call.cancel)
            await asyncio.sleep(0.01)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(60)
        for outcome in outcomes:
            assert outcome == GOOD or isinstance(outcome, (ServingError, asyncio.CancelledError)), outcome
        for server, channel in zip(servers.upstream.servers, servers.channels, strict=True):
            assert not server.calls
            assert not channel.in_work
        calls, hedges, retries = len(asked), servers.counted("hedges"), servers.counted("retries")
        assert hedges <= SHARE * calls + 1e-9
        assert retries <= RETRIES * calls + 1e-9
        assert servers.predicts <= calls + retries + hedges
        await servers.upstream.stop()

    run(monkeypatch, work)


def one_slow(monkeypatch, hedge_after, calls=1000):
    """One server takes 1 s, the other two 10 ms; gives the servers, and what calls took after the first 200."""

    async def work(loop: Loop):
        paces = (1.0, 0.01, 0.01)
        servers = Servers([lambda pace=pace: Said(pace, GOOD) for pace in paces], hedge_after)
        lease = await servers.start()
        took = []
        for _ in range(calls):
            began = loop.time()
            await servers.call(lease)
            took.append(loop.time() - began)
        assert not any(channel.in_work for channel in servers.channels)
        await servers.upstream.stop()
        return servers, took[200:]

    return run(monkeypatch, work)


def test_a_slow_server_gets_few_calls_and_hedging_makes_them_quick(monkeypatch):
    plain, took = one_slow(monkeypatch, None)
    assert 0 < sum(seconds > 0.5 for seconds in took) <= 8  # one in three without `slowness.py`
    assert plain.counted("hedges") == 0
    for after in (HedgeAfter(0.03), HedgeAfter(None)):
        hedged, took = one_slow(monkeypatch, after)
        assert max(took) < 0.1
        assert hedged.counted("hedges") == hedged.channels[0].cancelled > 0


def test_a_hedge_that_fails_leaves_the_first_attempt_alone(monkeypatch):
    """And no budget for a hedge is no reason to wait: the first one's error is told at once (grpc-java#7222)."""

    async def work(loop: Loop):
        outcomes = [Said(0.5, GOOD), Said(0.001, "INTERNAL"), Said(0.2, "INTERNAL")]
        scripts = [lambda: outcomes.pop(0)] * 2
        servers = Servers(scripts, HedgeAfter(0.05))
        lease = await servers.start()
        for _ in range(20):
            servers.upstream._hedging.began()
        assert await servers.call(lease) == GOOD
        assert servers.counted("hedges") == 1
        began = loop.time()
        with pytest.raises(ServingError, match="as scripted"):
            await servers.call(lease)
        assert loop.time() - began == pytest.approx(0.2)
        await servers.upstream.stop()

    run(monkeypatch, work)


def test_where_all_servers_fail_calls_are_at_most_their_budget_more(monkeypatch):
    async def work(_: Loop):
        servers = Servers([lambda: Said(0.001, "UNAVAILABLE")] * 3)
        lease = await servers.start()
        for _ in range(1000):
            with pytest.raises(Unavailable):
                await servers.call(lease)
        assert 1190 <= servers.predicts <= 1200
        await servers.upstream.stop()

    run(monkeypatch, work)


def test_where_all_refuse_nothing_is_tried_again_and_where_one_does_it_rests(monkeypatch):
    async def work(loop: Loop):
        refuses = Said(0.001, "RESOURCE_EXHAUSTED")
        servers = Servers([lambda: refuses] * 2)
        lease = await servers.start()
        for _ in range(200):
            with pytest.raises(Overloaded):
                await servers.call(lease)
        assert servers.predicts <= 200 + 10
        servers.channels[1].predict = lambda: Said(0.01, GOOD)
        before = servers.channels[0].predicts
        await asyncio.sleep(2)
        outcomes = []
        for _ in range(500):
            outcomes.append(await servers.call(lease))
        assert outcomes == [GOOD] * 500
        assert servers.channels[0].predicts - before < 15
        await servers.upstream.stop()

    run(monkeypatch, work)


def test_a_server_that_stands_still_loses_its_calls_and_its_connection(monkeypatch):
    async def work(loop: Loop):
        servers = Servers([lambda: Said(0.01, GOOD)] * 2, budget=RetryBudget())
        lease = await servers.start()
        frozen, works = servers.upstream.servers
        servers.channels[0].frozen = True
        calls = [servers.call(lease) for _ in range(8)]
        began = loop.time()
        polls = asyncio.gather(servers.poll(frozen), servers.poll(works), return_exceptions=True)
        assert await asyncio.gather(*calls) == [GOOD] * 8
        assert loop.time() - began < 2.1
        await polls
        before = servers.channels[0].predicts
        for _ in range(10):
            await servers.call(lease)
        assert servers.channels[0].predicts == before
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await servers.upstream.poll_status(frozen, "m", 2.0)
        await asyncio.sleep(0.01)
        assert servers.channels[0].closed  # it may be half open: the next poll connects anew
        await servers.poll(frozen)
        assert frozen in lease.holders
        await servers.upstream.stop()

    run(monkeypatch, work)


def test_an_answer_of_a_new_connection_counts_when_its_metadata_is_the_same(monkeypatch):
    """The server restarts between the choice of it and its answer; another one is asked where the signatures differ."""

    async def work(loop: Loop):
        servers = Servers([lambda: Said(0.5, GOOD)])
        lease = await servers.start()
        channel, (server,) = servers.channels[0], servers.upstream.servers
        call = servers.call(lease)
        for attempt in server.calls:
            attempt.confirmed = False
        channel.on_change()
        assert await call == GOOD
        assert server in lease.holders

        channel.metadata = metadata("serving_default", shape=(-1, 3))
        call = servers.call(lease)
        for attempt in server.calls:
            attempt.confirmed = False
        channel.on_change()
        with pytest.raises(SignatureChanged, match="the signatures of model 'm', version 1 have just changed"):
            await call
        assert not lease.holders
        with pytest.raises(Unavailable):
            await servers.call(lease)
        await servers.upstream.stop()

    run(monkeypatch, work)


@pytest.mark.parametrize("answer", ["UNAVAILABLE", b"bad"])
def test_a_candidate_that_fails_takes_no_server_away_from_the_stable_version(monkeypatch, answer):
    """The same failures of any other version do."""

    async def work(_: Loop):
        left = []
        for candidates in ({}, {"m": 1}):
            servers = Servers([lambda: Said(0.001, answer)] * 2, budget=RetryBudget(0, per_second=0, saved=0))
            lease = await servers.start()
            servers.upstream.candidates = candidates
            for _ in range(20):
                with pytest.raises(ServingError):
                    await servers.call(lease)
            left.append([server.is_ejected() for server in servers.upstream.servers])
            await servers.upstream.stop()
        assert left == [[True, True], [False, False]]

    run(monkeypatch, work)


def test_a_server_is_left_out_for_what_the_stable_version_s_calls_find(monkeypatch):
    async def work(_: Loop):
        servers = Servers([lambda: Said(0.001, "UNAVAILABLE")])
        lease = await servers.start()
        servers.upstream.candidates = {"m": 2}
        for _ in range(3):
            with pytest.raises(Unavailable):
                await servers.call(lease)
        assert servers.upstream.servers[0].is_ejected(), "by the stable version's calls"
        await servers.upstream.stop()

    run(monkeypatch, work)
