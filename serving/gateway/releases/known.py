"""What the processes of one service know of a model's release, and what that is all together.

each process: `Releases.known` ──▶ Known ──its parent──▶ Known, Known, … ──told──▶ GET /v1/models/MODEL/release
                                                                    └──replicas──▶ may it be promoted?
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, NamedTuple

from signet.serving.gateway.releases.copying import OutputCounts
from signet.serving.gateway.releases.shadow import OUTCOMES
from signet.serving.releases import replica as replicas_of
from signet.serving.releases.checks import NOTHING
from signet.serving.releases.judge import Decision, Evidence, Policy, judge
from signet.serving.releases.replica import Replica


class OnTrial(NamedTuple):
    """By what a process judges a candidate."""

    policy: Policy
    share: float
    baked_s: float
    """Seconds for which it has seen this share."""


@dataclass(frozen=True, slots=True)
class Known:
    """What one process knows; it goes from process to process."""

    content: bytes
    """Its `Replica`, as `replica.parse` reads it."""
    trial: OnTrial | None
    """None: it has had no candidate."""
    copies: Mapping[str, int]
    """Outcome -> copies for a candidate."""
    outputs: Mapping[str, OutputCounts]
    gate: Mapping[str, Any]
    """What it knows of the check of the candidate, as `Checking.told` has it."""


def replicas(known: Sequence[Known]) -> list[Replica]:
    """The processes as those who promote know them."""
    return [one for each in known for one in replicas_of.parse(each.content)]


def told(known: Sequence[Known]) -> dict[str, Any]:
    """For who asks over HTTP: as `replica.parse` reads it, and what all processes make of it."""
    processes = replicas(known)
    return {
        **replicas_of.as_json(processes),
        "gate": next((one.gate for one in known if one.gate["progress"] != NOTHING), known[0].gate if known else None),
        "verdict": _verdict(known, processes),
        "copies": {outcome: sum(one.copies.get(outcome, 0) for one in known) for outcome in OUTCOMES},
        "outputs": {name: _finite(asdict(counts)) for name, counts in _outputs(known).items()},
    }


def _verdict(known: Sequence[Known], processes: Sequence[Replica]) -> dict[str, Any] | None:
    trials = [one.trial for one in known if one.trial is not None]
    if not trials:
        return None
    latest = min(trials, key=lambda trial: trial.baked_s)
    evidence = reduce(Evidence.__add__, (one.evidence for one in processes))
    judged = judge(evidence, latest.policy, share=latest.share, baked_s=latest.baked_s)
    stopped = next((one.stopped for one in processes if one.stopped), "")
    return {
        "decision": Decision.BAD if stopped else judged.decision,
        "reason": stopped or judged.reason,
        "findings": [_finite(asdict(finding)) for finding in judged.findings],
    }


def _outputs(known: Sequence[Known]) -> dict[str, OutputCounts]:
    whole: dict[str, OutputCounts] = {}
    for one in known:
        for name, counts in one.outputs.items():
            whole[name] = whole[name] + counts if name in whole else counts
    return whole


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a number of that size is told as null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def silent(who: str) -> Known:
    """What stands for processes that do not tell: nobody knows what they have seen, so nothing is promoted."""
    return Known(dumped(Replica(f"{who}, which does not answer,", None)), None, {}, {}, {"progress": NOTHING})


def dumped(replica: Replica) -> bytes:
    """For `Known.content`."""
    return json.dumps(replicas_of.as_json([replica])).encode()
