"""What the gate lets pass: the bounds of its checks, each with its reason."""

from dataclasses import dataclass
from typing import Annotated

from signet.serving.options import Option

CHECKS = (
    "files", "signature", "operations", "loading", "golden", "scores", "answers", "numbers", "constant", "range",
    "classes", "difference", "distribution", "latency", "memory",
)  # fmt: skip
"""In the order in which they are made."""


@dataclass(frozen=True)
class Bounds:
    """Where a difference is too much. What is judged by samples has to be beyond chance, too (once in a thousand)."""

    max_worse: Annotated[
        float,
        Option(
            "By how much a figure that the cards have of held-out rows may be worse: an accuracy by so much; an error by so much "
            "of the simplest guess's.",
            min=0,
        ),
    ] = 0.05
    max_changed: Annotated[
        float,
        Option(
            "Share of rows whose class may change. Two models of accuracy a differ in 2(1 − a) at most: 0.25 is for 87 %; more "
            "is granted where the stable version itself is less sure.",
            min=0,
            max=1,
        ),
    ] = 0.25
    max_difference: Annotated[
        float,
        Option(
            "Mean difference of numbers, by their mean distance from their average: at 1 the stable version's average alone "
            "would be as good an answer.",
            min=0,
        ),
    ] = 1.0
    max_psi: Annotated[
        float,
        Option(
            "Population stability index of an output on the same inputs, from 50 rows: 0.25 is called a major shift.",
            min=0,
        ),
    ] = 0.25
    range_factor: Annotated[
        float,
        Option("Numbers may lie outside of the stable version's by so many times the width of its range.", min=0),
    ] = 1.0
    latency_ratio: Annotated[float, Option("Latency may grow to so many times the stable version's.", min=1)] = 2.0
    latency_floor_ms: Annotated[float, Option("Or by so much.", min=0)] = 1.0
    memory_ratio: Annotated[float, Option("Memory may grow to so many times the stable version's,", min=1)] = 2.0
    memory_floor_mib: Annotated[int, Option("plus so much; alone: so much, plus four times its files.", min=0)] = 512
    timeout_s: Annotated[
        float, Option("Seconds that the candidate may take for one answer; it is ended then, and refused.", min=0.1)
    ] = 60.0
    random_rows: Annotated[int, Option("Rows that are made up by each signature.", min=8)] = 64
    seed: Annotated[int, Option("Of what is made up.", min=0)] = 0
    accept: Annotated[
        str, Option(f"Checks, with commas between, that only warn: {', '.join(CHECKS)}.", metavar="CHECK,…")
    ] = ""
    allow_ops: Annotated[
        str, Option("Operations that the graph may have although they reach beyond it, as of `signet serve`.")
    ] = ""
