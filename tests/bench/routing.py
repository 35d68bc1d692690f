"""What a release costs a request: `python -m tests.bench.routing`, some ten seconds, in this process, without sockets.

    gateways side by side ──▶ rounds of blocks: none, done, canary, …, then from behind ──▶ processor time of a request, ratios
    the step alone: `Routing.version` for a request as it came ──▶ processor time ──▶ its share of a request

The bar is the step's share: 1 % at most. In place it takes longer than in a loop of its own, where caches have all
of it; a canary's whole requests have the counting for the judge too, and those of a second version.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from signet.serving.gateway.app import Gateway
from signet.serving.gateway.core.routes import Asker
from signet.serving.gateway.settings import Settings
from signet.serving.http.server import Request, Response
from signet.serving.releases.release import Stage
from tests.bench.ratios import order, paired, spread
from tests.serving.gateway.releases.house import BODY, House

BLOCK, STEPS = 200, 20_000
"""Requests of a block, and steps that are timed in a row."""
PATH = b"/v1/models/m:predict"
KEYED = {b"x-signet-key": b"somebody@example.com"}

SHARE, LEAST = 0.05, 1e-9


class Variant(NamedTuple):
    """A release, or none, and what requests bring along."""

    against: str
    """The variant that it is held against."""
    stage: Stage | None = None
    share: float = 0.0
    """The candidate's; with the least, nobody gets it, nobody is judged, and what is left is the choice."""
    headers: Mapping[bytes, bytes] = MappingProxyType({})


BY_ID, BY_KEY = "no release", "no release, X-Signet-Key sent"
VARIANTS = {
    BY_ID: Variant(BY_ID),
    "done": Variant(BY_ID, Stage.DONE),
    "canary, by request id: the choice": Variant(BY_ID, Stage.CANARY, LEAST),
    "canary, by request id": Variant(BY_ID, Stage.CANARY, SHARE),
    BY_KEY: Variant(BY_KEY, headers=KEYED),
    "canary, by X-Signet-Key: the choice": Variant(BY_KEY, Stage.CANARY, LEAST, KEYED),
    "canary, by X-Signet-Key": Variant(BY_KEY, Stage.CANARY, SHARE, KEYED),
}


class Served:
    """A gateway of a variant, and its requests."""

    def __init__(self, house: House, variant: Variant) -> None:
        if variant.stage is not None:
            house.write(variant.stage, 1, *((2, variant.share) if variant.share else ()))
        self.gateway = Gateway(Settings(models_dir=house.folder, poll_s=3600.0))
        if variant.share == LEAST:
            self.gateway.inference.judged = None
        self._headers = variant.headers

    def block(self, requests: int = BLOCK) -> "asyncio.Future[float]":
        """Answer so many requests, one after the other; gives the processor time of one in µs."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[float] = loop.create_future()
        left = requests
        began = time.process_time()

        def one() -> None:
            self.gateway.handle(Request("POST", PATH, dict(self._headers), BODY, "1.1", True), answered)

        def answered(response: Response) -> None:
            nonlocal left
            assert response.status == 200, response.body
            left -= 1
            if left:
                loop.call_soon(one)
            else:
                ended.set_result((time.process_time() - began) / requests * 1e6)

        one()
        return ended

    async def step_us(self) -> float:
        """Processor time of the one step alone, for a request as it came."""
        routes = self.gateway.inference.routes
        if routes is None:
            return 0.0
        seen: list[Asker] = []

        class Watched:
            def version(self, model: str, asker: Asker) -> int | None:
                seen.append(asker)
                return routes.version(model, asker)

        watched: Any = Watched()
        self.gateway.inference.routes = watched
        await self.block(1)
        self.gateway.inference.routes = routes
        (asker,) = seen
        version = routes.version
        return (_timed(lambda: version("m", asker)) - _timed(lambda: None)) * 1e6


def _timed(work: Callable[[], object]) -> float:
    """Processor seconds of a call, the least of five times many."""
    least = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(STEPS):
            work()
        least = min(least, (time.process_time() - began) / STEPS)
    return least


@contextmanager
def started(runner: asyncio.Runner) -> Iterator[dict[str, Served]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        served = {}
        for number, (name, variant) in enumerate(VARIANTS.items()):
            served[name] = Served(House(Path(folder) / str(number), 1, 2), variant)
            runner.run(served[name].gateway.backend.start())
            stack.callback(lambda gateway: runner.run(gateway.stop()), served[name].gateway)
        yield served


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    with asyncio.Runner() as runner, started(runner) as served:
        figures: dict[str, dict[int, float]] = {name: {} for name in served}
        for number in range(-2, rounds):  # the first two warm up
            for name in order(list(served), number):
                figures[name][number] = runner.run(_awaited(served[name]))
        steps = {name: runner.run(one.step_us()) for name, one in served.items()}
    print(
        "| release | a request, µs | whole request, ratio (quartiles) | the step alone, µs | its share |\n| --- "
        + "| --- " * 4
        + "|"
    )
    for name, variant in VARIANTS.items():
        of_rounds = {number: value for number, value in figures[name].items() if number >= 0}
        request = spread(list(of_rounds.values()))
        ratio = spread(paired(of_rounds, figures[variant.against]))
        whole = "–" if name == variant.against else f"{ratio.median:.3f} ({ratio.low:.3f}, {ratio.high:.3f})"
        share = steps[name] / spread(list(figures[variant.against].values())).median
        print(f"| {name} | {request.median:.1f} | {whole} | {steps[name]:.2f} | {share:.1%} |")


async def _awaited(served: Served) -> float:
    return await served.block()


if __name__ == "__main__":
    main()
