"""Schemas of releases for the OpenAPI document: what is told of one, and what an admin may ask for.

Sources: `serving/releases/release.py` and `replica.py`, which write them, and `actions.py`, which reads what is asked for.
"""

from signet.serving.gateway.openapi.schemas import (
    BOOLEAN,
    TEXT,
    VERSION,
    Schema,
    array,
    closed,
    explained,
    mapping,
    record,
    ref,
)
from signet.serving.releases import actions
from signet.serving.releases.checks import NOTHING, Progress
from signet.serving.releases.judge import PARTS, Decision
from signet.serving.releases.release import MOST_GENERATION, Stage

_PART: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_REASON = explained("Why, in a line; it is kept in the history", TEXT)
_LIMITS = explained("What the candidate is judged by, by name", mapping({"type": "number"}))


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_FIGURE = _or_null({"type": "number"})

SCHEMAS: dict[str, Schema] = {
    "Release": record(
        {
            "model": TEXT,
            "generation": explained(
                "Grows by one with each change", {"type": "integer", "minimum": 1, "maximum": MOST_GENERATION}
            ),
            "stable": explained("The version that answers what names none", VERSION),
            "candidate": explained("The version that may follow it", _or_null(VERSION)),
            "stage": {"enum": [str(stage) for stage in Stage]},
            "share": explained("Part of the requests that the candidate answers", _PART),
            "shadow": explained("Part of the others of which it is shown copies", _PART),
            "salt": explained("Who is in the share", TEXT),
            "limits": _LIMITS,
            "by": explained("Who made this generation", TEXT),
            "at": explained("When, in UTC", TEXT),
            "reason": TEXT,
        }
    ),
    "ReleaseStatus": record(
        {
            "replicas": explained("Each process of this service", array(ref("ReleaseReplica"))),
            "gate": explained("What the gate has found of what is to be released", ref("ReleaseCheck")),
            "verdict": explained(
                "What they have seen of the candidate, all together; null: none is on its way",
                _or_null(
                    record(
                        {
                            "decision": {"enum": [str(one) for one in Decision]},
                            "reason": TEXT,
                            "findings": explained("By kind of event", array(ref("ReleaseFinding"))),
                        }
                    )
                ),
            ),
            "copies": explained("Copies of requests for the candidate, by what became of them", mapping(_COUNT)),
            "outputs": explained("How its outputs differ from the stable version's, by name", mapping(ref("Differs"))),
        }
    ),
    "ReleaseCheck": record(
        {
            "progress": {"enum": [NOTHING, *map(str, Progress)]},
            "candidate": _or_null(VERSION),
            "stable": _or_null(VERSION),
            "by": explained("Who checks, or has", TEXT),
            "at": explained("When that began or ended, in UTC", TEXT),
            "reason": explained("Why it is refused, or not checked", TEXT),
            "attempts": explained("Checks of these files that were begun", _COUNT),
            "report": explained("The file beside the release that has all of it; empty: there is none", TEXT),
            "findings": explained(
                "What its report says of the candidate",
                array(record({"check": TEXT, "level": explained("refused, warning or note", TEXT), "text": TEXT})),
            ),
        }
    ),
    "ReleaseFinding": record(
        {
            "kind": {"enum": list(PARTS)},
            "start": explained("Number of the step since which it looks worst", _COUNT),
            "log_e": explained("The evidence: natural logarithm of the e-value; at 0 and below there is none", _FIGURE),
            "log_alarm": explained("What that must exceed for an alarm", _FIGURE),
            "harm": explained("The candidate's rate of these events above the stable version's", _FIGURE),
            "harm_at_most": explained("The largest that it may be, by the present step", _FIGURE),
            "allowed": explained("The harm that the limits allow", _FIGURE),
        }
    ),
    "ReleaseReplica": record(
        {
            "name": TEXT,
            "release": explained("What it follows", _or_null(ref("Release"))),
            "available": explained("Versions that would answer now", array(VERSION)),
            "keeps": explained("Whether it loads what a release names by itself", BOOLEAN),
            "stopped": explained("Why it gives the candidate no traffic; empty: it does", TEXT),
            "evidence": explained("What it has counted since the release began", {"type": "object"}),
        }
    ),
    "Differs": record(
        {
            "copies": _COUNT,
            "differs": explained("By more than the tolerance, or missing", _COUNT),
            "missing": _COUNT,
            "argmax_changed": explained("Copies in which the highest value of a row is at another place", _COUNT),
            "most_absolute": explained("null: without bound", _or_null({"type": "number"})),
            "most_relative": explained("As a part of the largest value", _or_null({"type": "number"})),
        }
    ),
    "ReleaseStart": {
        "title": "What begins",
        **closed(
            {},
            version=explained("The candidate; without one the version that answers now is kept", VERSION),
            stable=explained("The version that answers; missing: the one until now", VERSION),
            limits=_LIMITS,
            reason=_REASON,
        ),
    },
    "ReleasePromote": {
        "title": "The next step, or another one",
        **closed(
            {},
            to={"enum": [str(stage) for stage in actions.STAGES]},
            share=_PART,
            shadow=_PART,
            force=explained("Whatever is known of the candidate; needs a reason", {**BOOLEAN, "default": False}),
            reason=_REASON,
        ),
    },
    "ReleaseRollback": {"title": "Back to the stable version", **closed({}, reason=_REASON)},
}
