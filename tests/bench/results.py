"""What a run has measured, and its file: results.json.

Sample    one server, one load, one round: what wrk or h2load counted, and what it cost
Block     one load: all samples of its rounds, by server; of a server that failed none, but why
Results   a run: its environment, the servers, the blocks
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.environment import Environment, Interpreter
from tests.bench.loads import Load

FILE = "results.json"
_SAMPLE = re.compile(r"\{\s*\"round\"[^{}]*\}")
"""In the file each is a line."""


@dataclass(frozen=True)
class Sample:
    """A run of about a second. Processor seconds are of program and children; cores are processor seconds a second."""

    round: int
    requests: int
    seconds: float
    p50_s: float
    p99_s: float
    processor_s: float
    behind_s: float
    """Of the model server that a gateway asks."""
    generator_s: float
    other_cores: float
    """What other programs used meanwhile: neither the servers under test, nor the generator, nor the benchmark."""
    stolen_cores: float
    """What other guests of the host took meanwhile."""

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def processor_us(self) -> float:
        """Microseconds of processor time a request, of the server asked."""
        return self.processor_s / self.requests * 1e6

    @property
    def behind_us(self) -> float:
        """The same of the model server behind it."""
        return self.behind_s / self.requests * 1e6


@dataclass
class Block:
    """What one load gave."""

    load: Load
    load_averages: list[float] = field(default_factory=list)
    """The system's, of a minute: at the begin and at the end."""
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Server -> why it has no figure."""

    @property
    def other_cores(self) -> list[float]:
        """Of each sample: what other programs, and other guests of the host, took."""
        return [sample.other_cores + sample.stolen_cores for several in self.samples.values() for sample in several]


@dataclass
class Results:
    """A run. The block that is being measured is the last one."""

    started: str
    """ISO 8601, UTC, whole minutes."""
    seconds: float
    rounds: int
    environment: Environment
    servers: list[str]
    base: str = ""
    """The other revision and its subject; empty: none was measured."""
    tfs: str = ""
    """The version of tensorflow_model_server; empty: none was measured."""
    interrupted: bool = False
    blocks: list[Block] = field(default_factory=list)

    def block(self, load: str) -> Block | None:
        return next((block for block in self.blocks if block.load.name == load), None)


def write(results: Results, file: Path) -> None:
    """Whole or not at all: a run that is killed leaves what it had measured."""
    aside = file.with_name(f".{file.name}")
    text = json.dumps(asdict(results), indent=1, ensure_ascii=False)
    text = _SAMPLE.sub(lambda match: " ".join(match[0].split()), text)
    aside.write_text(text + "\n")
    aside.replace(file)


def read(file: Path) -> Results:
    """What `write` wrote."""
    found: dict[str, Any] = json.loads(file.read_text())
    environment = found.pop("environment")
    blocks = [
        Block(
            Load(**block["load"]),
            block["load_averages"],
            {server: [Sample(**sample) for sample in several] for server, several in block["samples"].items()},
            block["failures"],
        )
        for block in found.pop("blocks")
    ]
    interpreter = Interpreter(**environment.pop("interpreter"))
    return Results(**found, environment=Environment(**environment, interpreter=interpreter), blocks=blocks)
