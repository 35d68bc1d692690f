"""Results with figures by hand, for tests."""

from tests.bench.environment import Environment, Interpreter
from tests.bench.loads import Load
from tests.bench.results import Block, Results, Sample

DIGITS_64 = Load("digits", 1, "rest", 64)

ENVIRONMENT = Environment(
    processor="Example",
    cores=2,
    memory_gb=16,
    system="Linux 6.1",
    interpreter=Interpreter("CPython 3.11.7", pgo=False, lto=False, level="-O3"),
    revision="0123456789",
    versions={"numpy": "2.0"},
)


def sample(number: int, requests: int, p99_s: float = 0.02, **others: float) -> Sample:
    """Of one second, in a round; 0.8 s of processor time."""
    figures = {
        "seconds": 1.0,
        "p50_s": 0.01,
        "processor_s": 0.8,
        "behind_s": 0.0,
        "generator_s": 0.1,
        "other_cores": 0.0,
        "stolen_cores": 0.0,
    }
    return Sample(number, requests, p99_s=p99_s, **{**figures, **others})


def samples(*requests: int, **others: float) -> list[Sample]:
    """A sample of each round."""
    return [sample(number, count, **others) for number, count in enumerate(requests)]


def made(*blocks: Block, base: str = "", tfs: str = "") -> Results:
    """Of these blocks, with the servers that they name."""
    named = {name: None for block in blocks for name in [*block.samples, *block.failures] if name != "limit"}
    return Results("2026-11-29T03:21Z", 1.0, 3, ENVIRONMENT, list(named), base, tfs, blocks=list(blocks))


def block(load: Load = DIGITS_64, **by_server: list[Sample]) -> Block:
    """Servers as keywords, with _ for -."""
    return Block(load, [0.5, 0.7], {name.replace("_", "-"): several for name, several in by_server.items()})
