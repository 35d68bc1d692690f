"""What training found out about both versions on held-out rows, as their cards say it: has a figure become worse?

    card's scores: output, metric, value, baselines ──pairs──▶ candidate's beside the stable version's ──judge──▶ findings

Nothing is asked of the versions here: golden examples, which are held-out rows too, prove that what was exported is what was
measured. An accuracy is compared as it is; an error by how far the simplest guess is from no error at all. Both have to be
worse by more than chance makes of so many rows: shares by their deviation, errors as if they varied by their mean.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from signet.serving.models.model_card import Card
from signet.serving.releases.gate.answers import SURE
from signet.serving.releases.gate.bounds import Bounds
from signet.serving.releases.gate.report import NOTE, REFUSED, WARNING, Finding, ScoreFigures

_MOST_SCORES = 100
_MORE = re.compile(r"\b(accuracy|precision|recall|auc|f1)\b", re.IGNORECASE)
"""Shares: more is better, 1 is the best."""
_LESS = re.compile(r"\b(error|loss|distance|deviation)\b", re.IGNORECASE)
"""Errors: less is better, 0 is the best."""


def compare(stable: Card, candidate: Card, bounds: Bounds) -> tuple[list[Finding], list[ScoreFigures]]:
    """What is to be said of the figures of both cards, and the figures that both have."""
    before, after = _scores(stable), _scores(candidate)
    rows = _held_out(stable), _held_out(candidate)
    findings, figures = [], []
    for (output, metric), score in before.items():
        other = after.get((output, metric))
        if other is None:
            text = f"output {output!r}: the card has no {metric!r} on held-out rows, and the stable version's has"
            findings.append(Finding("scores", WARNING, text))
            continue
        figures.append(ScoreFigures(output, metric, score["value"], other["value"], rows[1]))
        findings += _judge(output, metric, score, other["value"], rows, bounds.max_worse)
    return findings, figures


def _judge(
    output: str, metric: str, stable: Mapping[str, Any], value: float, rows: tuple[int, int], most: float
) -> Iterator[Finding]:
    before: float = stable["value"]
    said = f"output {output!r}: {metric} on held-out rows is {value:.3g}, the stable version's {before:.3g}"
    if not math.isfinite(value) and math.isfinite(before):
        yield Finding("scores", REFUSED, said)
        return
    if _MORE.search(metric):
        worse, scale, unit = before - value, 1.0, ""
    elif _LESS.search(metric):
        simplest = max((number for number in stable["baselines"] if math.isfinite(number)), default=0.0)
        worse, scale, unit = value - before, simplest, f" of {simplest:.3g}, the simplest guess's,"
    else:
        yield Finding("scores", NOTE, f"{said}: whether that is better is not known")
        return
    by_chance = SURE * math.hypot(*(_deviation(metric, *one) for one in zip((before, value), rows, strict=True)))
    if scale > 0 and worse - by_chance > most * scale:
        yield Finding("scores", REFUSED, f"{said} (bound {most:g}{unit} worse)")
    elif worse > by_chance:
        yield Finding("scores", WARNING, f"{said}: worse by more than chance")


def _deviation(metric: str, value: float, rows: int) -> float:
    """Of a mean over so many rows."""
    if _MORE.search(metric):
        share = min(1.0, max(0.0, value))
        return math.sqrt(share * (1 - share) / rows)
    return abs(value) / math.sqrt(rows)


def _scores(card: Card) -> dict[tuple[str, str], dict[str, Any]]:
    """(output, metric) -> value, baselines. What is none is left out: a card may be a stranger's."""
    listed = card.content.get("scores")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in listed[:_MOST_SCORES] if isinstance(listed, list) else ():
        if not isinstance(one, dict):
            continue
        output, metric, beside = one.get("output"), one.get("metric"), one.get("baselines")
        value = _number(one.get("value"))
        if isinstance(output, str) and isinstance(metric, str) and value is not None:
            numbers = map(_number, beside.values()) if isinstance(beside, dict) else ()
            baselines = [number for number in numbers if number is not None]
            found[output[:200], metric[:200]] = {"value": value, "baselines": baselines}
    return found


def _held_out(card: Card) -> int:
    """Rows that the figures are of; 1 where the card does not say: then nothing is beyond chance."""
    data = card.content.get("data")
    rows = data.get("held_out_rows") if isinstance(data, dict) else None
    return rows if type(rows) is int and rows > 0 else 1


def _number(value: Any) -> float | None:
    """A number as a float; NaN is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isinstance(value, float) or abs(value) < 1e300 else None
