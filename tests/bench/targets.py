"""What the project wants of its speed, as ratios within one run: to another revision of itself, and to TensorFlow Serving.

Results ──▶ the figures of a server and of its reference, by round ──▶ ratios ──▶ a Verdict for each target
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.bench.contenders import EMBEDDED, LIMIT, WATCHED, WATCHED_ALL
from tests.bench.ratios import Spread, Verdict, at_least, at_most, paired, spread
from tests.bench.results import Block, Results, Sample

Reference = Literal["limit", "base", "tfs"]
"""The engine's own loop; the same server in the other revision; the better of TensorFlow Serving's two settings."""

Figure = Callable[[Sample], float]


def requests_per_s(sample: Sample) -> float:
    return sample.requests_per_s


def processor_us(sample: Sample) -> float:
    return sample.processor_us


def p99_s(sample: Sample) -> float:
    return sample.p99_s


@dataclass(frozen=True)
class Target:
    """At least so many times the requests/s of the reference."""

    load: str
    server: str
    reference: Reference
    ratio: float


def _targets(reference: Reference, server: str, ratios: dict[str, float]) -> list[Target]:
    return [Target(load, server, reference, ratio) for load, ratio in ratios.items()]


TARGETS = (
    *_targets(
        "base",
        "embedded",
        {
            "digits rest 64": 1.8,
            "question_answering rest 1": 1.1,
            "social_posts rest 1": 1.05,
            "digits grpc 1x16": 3.5,
            "digits grpc 1x64": 3.5,
        },
    ),
    *_targets("base", "embedded-2", {"digits-32rows rest 4": 1.5, "image rest 4": 1.4}),
    *_targets("base", "remote", {"digits rest 64": 1.5}),
    *_targets(
        "tfs",
        "embedded",
        {
            "digits rest 1": 1.05,
            "digits rest 16": 1.15,
            "digits rest 64": 1.5,
            "question_answering rest 1": 1.05,
            "question_answering rest 16": 1.5,
            "question_answering rest 64": 1.7,
            "social_posts rest 1": 0.95,
            "social_posts rest 16": 0.95,
            "social_posts rest 64": 0.95,
            "digits-32rows rest 4": 0.85,
            "image rest 4": 0.75,
            "digits grpc 1x1": 0.9,
            "digits grpc 1x16": 0.7,
            "digits grpc 1x64": 0.5,
            "question_answering grpc 1x1": 1.0,
            "question_answering grpc 1x16": 1.0,
            "question_answering grpc 1x64": 1.0,
            "image grpc 4x1": 1.0,
        },
    ),
    *_targets("tfs", "embedded-2", {"digits-32rows rest 4": 1.15, "image rest 4": 1.15}),
    *_targets("tfs", "remote-tfs", {"digits rest 1": 0.5, "digits rest 16": 0.9, "digits rest 64": 1.2}),
)

WATCHED_RATIO = 1.05
"""Processor time a request of the `watched` server over that of the embedded one, without keys and logs."""

P99_RATIO = 1.0
"""The p99 of a load is nowhere higher than the other revision's."""


def reference(block: Block, server: str, kind: Reference) -> str | None:
    """The server that another one is held against in a block; None where there is none with figures."""
    if kind == "limit":
        named = [LIMIT]
    elif kind == "base":
        named = [f"base-{server}", f"base-{server.removesuffix('-2')}"]
    else:
        named = sorted(
            (name for name in ("tfs", "tfs-batching") if name in block.samples),
            key=lambda name: -spread([sample.requests_per_s for sample in block.samples[name]]).median,
        )
    return next((name for name in named if name in block.samples and name != server), None)


def ratios(block: Block, server: str, kind: Reference, figure: Figure = requests_per_s) -> list[float]:
    """Of the server's figure to its reference's, within each round; none where one of them has none."""
    other = reference(block, server, kind)
    if other is None or server not in block.samples:
        return []
    return paired(_by_round(block, server, figure), _by_round(block, other, figure))


def ratio(block: Block, server: str, kind: Reference, figure: Figure = requests_per_s) -> Spread | None:
    """How the ratios lie; None where there are none."""
    found = ratios(block, server, kind, figure)
    return spread(found) if found else None


def _by_round(block: Block, server: str, figure: Figure) -> dict[int, float]:
    return {sample.round: figure(sample) for sample in block.samples[server]}


def verdicts(results: Results, kind: Reference) -> list[tuple[Target, Verdict | None]]:
    """Of each target of a kind; None where it was not measured."""
    found: list[tuple[Target, Verdict | None]] = []
    for target in TARGETS:
        if target.reference == kind:
            block = results.block(target.load)
            measured = ratios(block, target.server, kind) if block else []
            found.append((target, at_least(measured, target.ratio) if measured else None))
    return found


def costs(results: Results) -> list[tuple[str, str, Verdict]]:
    """Load, server, and what keys and logs cost there in processor time, for all that has figures beside the embedded one."""
    found = []
    for block in results.blocks:
        for server in (WATCHED, WATCHED_ALL):
            if server in block.samples and EMBEDDED in block.samples:
                watched, plain = (_by_round(block, name, processor_us) for name in (server, EMBEDDED))
                found.append((block.load.name, server, at_most(paired(watched, plain), WATCHED_RATIO)))
    return found


def latencies(results: Results) -> list[tuple[str, str, Verdict]]:
    """Load, server, and whether its p99 is not higher than it was in the other revision, for all that has both."""
    found = []
    for block in results.blocks:
        for server in block.samples:
            if f"base-{server}" in block.samples and (measured := ratios(block, server, "base", p99_s)):
                found.append((block.load.name, server, at_most(measured, P99_RATIO)))
    return found
