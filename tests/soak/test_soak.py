"""Good and hostile callers of every dialect at once: each good one is answered rightly, and nothing piles up.

warm-up ──▶ memory, descriptors, labels ──▶ the same traffic for longer ──▶ no more of them
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import httpx
import pytest

from tests import servers
from tests.servers import Program
from tests.serving.gateway.test_dialects import Gateway
from tests.soak import good, hostile
from tests.soak.good import Place

WARM_UP = 0.3
"""The part of the time after which things are measured for the first time."""

SHORT = (20.0, 0.6)
LONG = (600.0, 0.35)
"""Seconds, and the memory that may come after the warm-up, as a part of what is held then: what allocators keep, in the server
and in the processes that read large bodies for it, where the most of them met later. In ten minutes a leak of a few
kilobytes a request is far beyond it."""

GOOD_THREADS, HOSTILE_THREADS = 3, 4


@contextmanager
def read_along(running: Program) -> Iterator[None]:
    """Reads what the program prints, lest it waits for a reader; at the end it must stop, cleanly."""

    def follow() -> None:
        while text := os.read(running.process.stdout.fileno(), 1 << 16):
            running.output += text.decode(errors="replace")

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        running.process.terminate()
        running.process.wait(60)
        thread.join(60)


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    """A gateway with the engine, a gateway in front of a model server, and that model server; nobody else asks them."""
    config = servers.write_model_config(tmp_path / "models.config", servers.GOLDEN_MODELS)
    models = ("--models-dir", servers.GOLDEN_MODELS)
    with ExitStack() as stack:
        address, rest, server = stack.enter_context(servers.both_apis(f"--model_config_file={config}"))
        url, embedded = stack.enter_context(servers.gateway(*models))
        remote_url, remote = stack.enter_context(servers.gateway("--backend", address, *models))
        found = [
            Place("embedded", url, servers.grpc_address(embedded), embedded),
            Place("remote", remote_url, servers.grpc_address(remote), remote),
            Place("model server", rest, address, server, is_gateway=False),
        ]
        for place in found:
            stack.enter_context(read_along(place.running))
        yield found


class Traffic:
    """Callers in threads of their own; each does everything that it can, in an order of its own, again and again."""

    def __init__(self, places: list[Place]) -> None:
        asker = Gateway(places[0].url, places[0].address)
        self._expected = [
            (question, asker.v2_bytes(question.model, question.signature, question.inputs))
            for question in good.questions()
        ]
        asker.close()
        self._places = places
        self.done: Counter[str] = Counter()
        self.problems: dict[str, str] = {}
        """The first problem of each kind of call."""

    def run(self, seconds: float) -> None:
        """Let all callers go on until the time is over and each has done everything once."""
        until = time.monotonic() + seconds
        callers: list[Any] = [good.Caller(self._places, self._expected) for _ in range(GOOD_THREADS)]
        callers += [hostile.Caller(self._places) for _ in range(HOSTILE_THREADS)]
        threads = [
            threading.Thread(target=self._call, args=(caller.kinds(), Random(seed), until))
            for seed, caller in enumerate(callers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for caller in callers:
            caller.close()

    def _call(self, kinds: list[tuple[str, Callable[[Random], None]]], random: Random, until: float) -> None:
        times = 0
        while times == 0 or time.monotonic() < until:
            random.shuffle(kinds)
            for name, call in kinds:
                if times and time.monotonic() > until:
                    break
                try:
                    call(random)
                except Exception as error:  # noqa: BLE001 – each is a problem, whatever it is
                    self.problems.setdefault(name, f"{type(error).__name__}: {error}")
                self.done[name] += 1
            times += 1


def family(pid: int) -> list[int]:
    """A process and its descendants, whichever thread has started them."""
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [pid, *(found for child in children for found in family(int(child)))]


def held_bytes(place: Place) -> int:
    """Memory of the program and its children, without pages of files, which come and go as the kernel likes."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in family(place.running.process.pid)]
    return sum(int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10 for status in statuses)


def descriptors(place: Place) -> int:
    return len(os.listdir(f"/proc/{place.running.process.pid}/fd"))


def metrics(place: Place) -> list[str]:
    lines = httpx.get(f"{place.url}/metrics", timeout=60).text.splitlines()
    return [line for line in lines if not line.startswith("#")]


def label_values(place: Place) -> set[tuple[str, str]]:
    """Every label of the metrics with each of its values; bounds of buckets are none."""
    return {pair for line in metrics(place) for pair in re.findall(r'(\w+)="([^"]*)"', line) if pair[0] != "le"}


def in_flight(place: Place) -> float:
    return sum(float(line.split()[-1]) for line in metrics(place) if line.startswith("signet_requests_in_flight"))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seconds", "growth"), [SHORT, pytest.param(*LONG, marks=pytest.mark.long)])
def test_good_and_hostile_callers_together(seconds, growth, places):
    gateways = [place for place in places if place.is_gateway]
    traffic = Traffic(places)

    def calm() -> None:
        assert not traffic.problems, "\n".join(f"{name}: {text}" for name, text in traffic.problems.items())
        for place in gateways:
            servers.wait_until(lambda place=place: in_flight(place) == 0, 60, f"the end of the calls of {place.name}")

    traffic.run(seconds * WARM_UP)
    calm()
    before = {place.name: (held_bytes(place), descriptors(place)) for place in places}
    labels = {place.name: label_values(place) for place in gateways}
    traffic.run(seconds * (1 - WARM_UP))
    calm()

    for place in places:
        assert place.running.process.poll() is None, place.running.output
        bytes_before, descriptors_before = before[place.name]
        grown = held_bytes(place) - bytes_before
        print(f"{place.name}: {bytes_before >> 20} MiB and {grown >> 10} KiB more; {descriptors_before} descriptors")
        assert grown < growth * bytes_before, f"{place.name}: {grown >> 20} MiB more than {bytes_before >> 20} MiB"
        few = descriptors_before + 3  # of connections that are just ending
        servers.wait_until(
            lambda place=place, few=few: descriptors(place) <= few, 60, f"few descriptors in {place.name}"
        )
        said = place.running.output
        assert not re.search("Traceback|never retrieved|never awaited", said), said[-5000:]
    for place in gateways:
        new = label_values(place) - labels[place.name]
        assert {name for name, _ in new} <= {"code", "grpc_code"}, (
            f"a caller's word became a label of {place.name}: {new}"
        )
        assert {value for _, value in new} <= {code.name for code in grpc.StatusCode}
    print(f"{sum(traffic.done.values())} calls of {len(traffic.done)} kinds")
