"""Schemas of a version's card, and of rows that it takes, for the OpenAPI document. Source: `gateway/page`, which makes them."""

from signet.serving.gateway.openapi.schemas import (
    BOOLEAN,
    TEXT,
    VERSION,
    Schema,
    array,
    explained,
    mapping,
    only,
    record,
    ref,
)
from signet.serving.models.model_status import State

PICTURES = ("model.png", "history.png")
SOURCES = ("golden", "warm-up", "card", "made up")
"""Where examples come from, best first."""

_NUMBER_OR_NOT: Schema = {"type": ["number", "null"]}
_VALUES = explained("A value for each input or output, by name", {"type": "object"})

SCHEMAS: dict[str, Schema] = {
    "Card": record(
        {
            "name": TEXT,
            "version": explained("null: none is available", {**VERSION, "type": ["integer", "null"]}),
            "versions": explained("All that are known, highest first", array(ref("CardVersion"))),
            "labels": mapping({"type": "integer"}),
            "purpose": TEXT,
            "limits": explained("What it cannot do", array(TEXT)),
            "data": explained("What it was made from", TEXT),
            "parameters": explained("Numbers that were learnt", _NUMBER_OR_NOT),
            "digest": explained("SHA-256 of the graph and the weights", TEXT),
            "problem": explained("Why there is no card, or what of it is left out", TEXT),
            "error": explained("Why no version is available", TEXT),
            "training": explained("How it was learnt, as its card says", {"type": "object"}),
            "scores": array(ref("CardScore")),
            "pictures": array(only(*PICTURES)),
            "signatures": explained(
                "Those first whose inputs a person writes most easily", array(ref("CardSignature"))
            ),
        }
    ),
    "FileRows": record(
        {
            "columns": array(TEXT),
            "rows": explained("The values of each, by column", array({"type": "object"})),
            "left_out": explained("Columns whose values JSON has no word for", array(TEXT)),
        }
    ),
    "CardVersion": record(
        {"version": {"type": "integer"}, "state": only(*(state.name for state in State)), "error": TEXT}
    ),
    "CardScore": record(
        {
            "output": TEXT,
            "metric": TEXT,
            "value": _NUMBER_OR_NOT,
            "baselines": explained("What simpler means reach", mapping(_NUMBER_OR_NOT)),
            "ceiling": explained("The best that can be reached", _NUMBER_OR_NOT),
        }
    ),
    "CardSignature": record(
        {
            "name": TEXT,
            "inputs": array(ref("CardTensor")),
            "outputs": array(ref("CardTensor")),
            "servable": explained("Whether JSON carries its inputs, and an output", BOOLEAN),
            "in_rows": explained("Whether a row alone is a request; else columns are", BOOLEAN),
            "independent": explained("Whether rows of several requests share its calls", BOOLEAN),
            "why": explained("Why they do not", TEXT),
            "padding": explained(
                "How rows may be made longer at their ends: with which value, and along which axes of each input",
                {
                    "anyOf": [
                        record({"value": {"type": "number"}, "inputs": mapping(array({"type": "integer"}))}),
                        {"type": "null"},
                    ]
                },
            ),
        }
    ),
    "CardTensor": record(
        {
            "name": TEXT,
            "dtype": explained("numpy's name of it; unsupported: one that cannot travel", TEXT),
            "shape": explained(
                "-1: any size; null: any rank", {**array({"type": "integer"}), "type": ["array", "null"]}
            ),
            "meaning": TEXT,
            "unit": TEXT,
            "values": TEXT,
            "labels": explained("Names of the places along the last axis", array(TEXT)),
            "holds": only("text", "bytes", "numbers", "booleans", "other"),
        }
    ),
    "Rows": record(
        {
            "signature": TEXT,
            "source": only(*SOURCES),
            "rows": explained(
                "Each as predict takes it in `instances`; whole columns, for `inputs`, where a row alone is no request",
                array(_VALUES),
            ),
            "answers": explained(
                "What is answered to each; null: nobody knows",
                {"anyOf": [array(_VALUES), {"type": "null"}]},
            ),
            "problem": explained("Why there are none, or what is missing", TEXT),
        }
    ),
}
