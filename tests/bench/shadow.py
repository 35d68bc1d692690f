"""What callers notice of copies for a candidate: `python -m tests.bench.shadow`, some two minutes. Prints a table.

    a gateway, two versions of `computing` (0.4 ms of a core a call) ──▶ capacity, without copies
    each load: rounds of  no copies, copies of all │ copies of all, no copies │ … ──▶ p50, p99, ratios within the rounds

The gateway is the same, and only `shadow` in its release changes. It is on all cores but the last, which the client has. A copy
is shown when nothing waits or runs, and none is made while 64 wait.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import uvloop

from signet.clients.load_test.plan.steps import Step
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore
from tests import servers
from tests.bench import environment
from tests.bench.overload import models
from tests.bench.overload.figures import Tally, tally
from tests.bench.overload.load import Stream, loading
from tests.bench.ratios import order, paired, spread

MODEL, DEADLINE_S, CALLERS = "computing", 5.0, 16
LOADS = {"10 %": 0.1, "70 %": 0.7, "full": 0.0}
"""Part of the capacity, in an open loop; 0: a closed loop of `CALLERS`."""
SHARES = (0.0, 1.0)


class Server:
    """The gateway whose release is changed."""

    def __init__(self, url: str, pid: int, folder: Path) -> None:
        self.url, self.pid, self._store = url, pid, ReleaseStore(folder)

    def shadow(self, share: float) -> None:
        """Have copies made of such a part of the requests; returns when the gateway does."""
        there = self._store.read(MODEL)
        generation = there.generation if there else 0
        self._store.write(Release(MODEL, 1, 1, 2, Stage.SHADOW, shadow=share, salt="s"), generation)
        deadline = time.monotonic() + 10
        while self._told()["replicas"][0]["release"]["generation"] != generation + 1:
            assert time.monotonic() < deadline, "the gateway does not follow its release"
            time.sleep(0.01)

    def copies(self) -> Mapping[str, int]:
        """What has become of copies until now."""
        copies: Mapping[str, int] = self._told()["copies"]
        return copies

    def stopped(self) -> bool:
        return bool(self._told()["replicas"][0]["stopped"])

    def _told(self) -> dict[str, object]:
        told: dict[str, object] = httpx.get(f"{self.url}/v1/models/{MODEL}/release").json()
        return told


async def measured(server: Server, rate: float, seconds: float, seed: int) -> Tally:
    """A step at a rate, or of callers that ask again; what came of it."""
    step = Step(seconds, rate, rate) if rate else Step(seconds, in_flight=CALLERS)
    async with loading([Stream(server.url, MODEL, DEADLINE_S, rate)], server.pid, seed) as client:
        await client.warm_up()
        loaded = await client.step(step)
        await client.settle()
    told = tally(loaded().requests, DEADLINE_S)
    assert not told.failed, told
    return told


async def run(server: Server, rounds: int, seconds: float) -> None:
    server.shadow(0.0)
    capacity = (await measured(server, 0.0, seconds, 0)).in_time / seconds
    print(f"{environment.look().processor}; {capacity:,.0f} answers/s at most; {rounds} rounds of {seconds:g} s\n")
    print(
        "| load | p50, ms, without and with copies | ratio | p99, ms | ratio | copies that were shown; others dropped |"
    )
    print("| --- " * 6 + "|")
    for name, part in LOADS.items():
        p50s: dict[float, dict[int, float]] = {share: {} for share in SHARES}
        p99s: dict[float, dict[int, float]] = {share: {} for share in SHARES}
        before = server.copies()
        for number in range(rounds):
            for share in map(float, order([str(share) for share in SHARES], number)):
                server.shadow(share)
                told = await measured(server, part * capacity, seconds, number)
                if told.p50_s is None or told.p99_s is None:
                    raise RuntimeError(f"nobody was answered: {told}")
                p50s[share][number], p99s[share][number] = told.p50_s * 1e3, told.p99_s * 1e3
        after = server.copies()
        assert not server.stopped(), "the candidate is the same model: it was stopped, and nothing is copied"
        shown, dropped = (after.get(outcome, 0) - before.get(outcome, 0) for outcome in ("shown", "full"))
        said = f"{shown / max(1, shown + dropped):.0%} of {shown + dropped:,}"
        print(f"| {name} | {_row(p50s)} | {_row(p99s)} | {said} |", flush=True)


def _row(figures: Mapping[float, Mapping[int, float]]) -> str:
    without, with_copies = (spread(list(figures[share].values())).median for share in SHARES)
    ratio = spread(paired(figures[1.0], figures[0.0]))
    return f"{without:.2f}, {with_copies:.2f} | {ratio.median:.2f} ({ratio.low:.2f}, {ratio.high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.75)
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    mine = {max(cores)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models.models(folder / "made")
        for version in ("1", "2"):
            shutil.copytree(folder / "made" / MODEL / "1", folder / "models" / MODEL / version)
        os.sched_setaffinity(0, cores - mine or cores)  # what the gateway inherits
        store = ReleaseStore(folder / "models")
        store.write(Release(MODEL, 1, 1, 2, Stage.SHADOW, salt="s"), 0)
        with servers.gateway(
            *("--models-dir", folder / "models", "--batch-max-rows", "1"), environment={"SIGNET_POLL_S": "0.1"}
        ) as (url, program):
            os.sched_setaffinity(0, mine)
            with suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # else it would measure what it waits for
            servers.wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, what="the gateway")
            uvloop.run(run(Server(url, program.process.pid, folder / "models"), options.rounds, options.seconds))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    main()
