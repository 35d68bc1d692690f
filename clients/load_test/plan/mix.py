"""Which models a run asks, and how often: "digits=3", "question_answering:from_text=1" ──parse──▶ entries."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from signet.serving.errors import UsageError
from signet.serving.tensors.signature import DEFAULT


@dataclass(frozen=True)
class MixEntry:
    """A model's part of the mix."""

    model: str
    signature: str = DEFAULT
    weight: float = 1.0
    """The share of the requests is this weight by the sum of all."""

    def __str__(self) -> str:
        return self.model if self.signature == DEFAULT else f"{self.model}:{self.signature}"


def parse(arguments: Iterable[str]) -> list[MixEntry]:
    """NAME[:SIGNATURE][=WEIGHT] of each. Raises `UsageError`."""
    entries = []
    for argument in arguments:
        match = re.fullmatch(r"([^/:=]+)(?::([^=]+))?(?:=(\d+(?:\.\d+)?))?", argument)
        if not match or not (weight := float(match[3] or 1)):
            raise UsageError(f"{argument!r} names no model; expected NAME, NAME:SIGNATURE or NAME=WEIGHT")
        entries.append(MixEntry(match[1], match[2] or DEFAULT, weight))
    names = [str(entry) for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name!r} is named more than once; give it one weight, as in {name}=2")
    return entries
