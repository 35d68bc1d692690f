"""The measuring itself: every server answers a load for a moment, one at a time, in rounds of alternating order.

    a load: right values from each server ──▶ a run of each that does not count ──▶ round 0: A B C, 1: C B A, … ──▶ Block
    a run:  wait until all servers are idle ──▶ wrk, h2load or the engine's loop ──▶ Sample

A server that answers wrongly, or not at all, is left out of the rest of the block, and has no figure in it.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import answers, generators, processor, rows
from tests.bench.contenders import LIMIT, Contender, Engine
from tests.bench.generators import Failed, Result
from tests.bench.loads import Load
from tests.bench.ratios import order
from tests.bench.results import Block, Sample

IDLE_SHARE = 0.15
"""Of a core: what all servers together may use and still count as idle; each looks for new versions every second."""
IDLE_LOOK_S = 0.1
IDLE_WAIT_S = 10.0
WARMING_SHARE = 0.5
"""Of the length of a run: the first calls of a shape are slow."""
LEAST_WARMING_S = 1.0
"""A server that is slow at its first calls has not failed."""


@dataclass(frozen=True)
class Bench:
    """The servers that are up, and what measuring them needs."""

    engine: Engine
    contenders: Sequence[Contender]
    folder: Path
    """For the generators' files."""
    seconds: float
    rounds: int
    least_warming_s: float = LEAST_WARMING_S

    def pids(self) -> list[int]:
        programs = [self.engine.program, *(each.program for each in self.contenders)]
        behind = [each.behind for each in self.contenders if each.behind]  # which need not be measured themselves
        return list({program.process.pid: None for program in (*programs, *behind)})


def measure(bench: Bench, block: Block, tell: Callable[[str], None]) -> None:
    """Fill the block, round by round, so that what there is of it counts whenever the run ends. tell: what goes on."""
    block.load_averages.append(round(os.getloadavg()[0], 2))
    try:
        runs = _prepared(bench, block, tell)
        for number in range(bench.rounds):
            tell(f"round {number + 1} of {bench.rounds}")
            for name in order(list(runs), number):
                if name in block.failures:
                    continue
                try:
                    sample = _sample(bench, number, *runs[name])
                except Failed as error:
                    _fail(block, name, str(error), tell)
                else:
                    block.samples.setdefault(name, []).append(sample)
    finally:
        block.load_averages.append(round(os.getloadavg()[0], 2))


Run = Callable[[float], Result]
"""Loads a server for so many seconds."""


def _prepared(bench: Bench, block: Block, tell: Callable[[str], None]) -> dict[str, tuple[Run, Contender | None]]:
    """A run for each server that answers rightly, and its contender; the engine's own loop has none."""
    load = block.load
    expected = bench.engine.answer(load, bench.folder / "answer.npz")
    runs: dict[str, tuple[Run, Contender | None]] = {LIMIT: (_engine_run(bench.engine, load), None)}
    for contender in bench.contenders:
        if not contender.takes(load):
            continue
        try:
            answer_bytes = answers.check(contender, load, expected)
            run = _run(contender, load, bench.folder, answer_bytes)
            run(max(bench.least_warming_s, bench.seconds * WARMING_SHARE))
        except (answers.Wrong, Failed) as error:
            _fail(block, contender.name, str(error), tell)
        else:
            runs[contender.name] = run, contender
    return runs


def _fail(block: Block, name: str, why: str, tell: Callable[[str], None]) -> None:
    block.failures[name] = why
    block.samples.pop(name, None)
    tell(f"{name} has no figure: {why}")


def _engine_run(engine: Engine, load: Load) -> Run:
    def run(seconds: float) -> Result:
        told = engine.run(load, seconds)
        return Result(int(told["requests"]), told["seconds"], told["p50_s"], told["p99_s"], 0.0)

    return run


def _run(contender: Contender, load: Load, folder: Path, answer_bytes: int) -> Run:
    if load.dialect == "grpc":
        message, callers = rows.message(load.model, load.rows), (load.connections, load.in_flight)
        return lambda seconds: generators.predict(
            contender.grpc_address, message, callers, seconds, folder, answer_bytes, contender.headers
        )
    post = answers.post(contender, load)
    return lambda seconds: generators.post(contender.url, post, load.connections, seconds, folder, answer_bytes)


def _sample(bench: Bench, number: int, run: Run, contender: Contender | None) -> Sample:
    wait_until_idle(bench.pids())
    asked = contender.program.process.pid if contender else bench.engine.program.process.pid
    behind = contender.behind.process.pid if contender and contender.behind else None
    before, machine = _used(bench.pids()), processor.machine()
    own_s, started = time.process_time(), time.perf_counter()
    result = run(bench.seconds)
    took_s, own_s = time.perf_counter() - started, time.process_time() - own_s
    after, machine_now = _used(bench.pids()), processor.machine()
    servers_s = sum(after.values()) - sum(before.values())
    other_s = machine_now.busy_s - machine.busy_s - servers_s - result.generator_s - own_s
    return Sample(
        round=number,
        requests=result.requests,
        seconds=round(result.seconds, 6),
        p50_s=round(result.p50_s, 7),
        p99_s=round(result.p99_s, 7),
        processor_s=round(after[asked] - before[asked], 3),
        behind_s=round(after[behind] - before[behind], 3) if behind else 0.0,
        generator_s=round(result.generator_s, 4),
        other_cores=round(max(0.0, other_s / took_s), 3),
        stolen_cores=round((machine_now.stolen_s - machine.stolen_s) / took_s, 3),
    )


def _used(pids: Sequence[int]) -> dict[int, float]:
    return {pid: processor.tree_s(pid) for pid in pids}


def wait_until_idle(pids: Sequence[int], timeout_s: float = IDLE_WAIT_S) -> None:
    """Until the programs have worked off what the last generator left behind; goes on after the timeout as well."""
    ends = time.monotonic() + timeout_s
    used_s = sum(_used(pids).values())
    while time.monotonic() < ends:
        time.sleep(IDLE_LOOK_S)
        now_s = sum(_used(pids).values())
        if now_s - used_s <= IDLE_SHARE * IDLE_LOOK_S:
            return
        used_s = now_s
