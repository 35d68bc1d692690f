"""A run of the overload benchmark as a page of Markdown.

Overload ──▶ page(found, pictures)     a pure function: docs/overload.md is made by it
"""

from collections.abc import Sequence

from tests.bench import report
from tests.bench.overload import figures
from tests.bench.overload.figures import Curve, Health, Overload, Pair, Point, Tally
from tests.bench.report import table

PICTURES = ("overload.svg",)
_MANY = 0.2
"""The cost of a refusal is told from this share of refusals on; of few it is noise."""
_MEANT = {
    "sleeping": "a call waits for more than half of its time and leaves the core to others, as beside an accelerator",
    "computing": "a call uses the core that requests are read and refused on, too",
}


def page(found: Overload, pictures: Sequence[str], command: str) -> str:
    """pictures: their addresses; command: what the page says that it was made by."""
    parts = ["# Overload", f"Made from results by `{command}`: do not edit.", *_how(found)]
    parts += [f"![Goodput and latencies under overload]({picture})" for picture in pictures]
    for curve in found.curves:
        parts += _curve(curve, found.refusal_s)
    for kind, title in (("models", "A model beside a hot one"), ("callers", "A caller beside a hot one")):
        parts += _pairs([pair for pair in found.pairs if pair.kind == kind], title)
    return "\n\n".join(parts) + "\n"


def line(curve: Curve, point: Point) -> str:
    """A point in a line, for who waits for the run."""
    return (
        f"{point.times:g} x: {point.goodput / curve.peak:.0%} of the peak in time, {point.load.refused} refused, "
        f"{point.load.late} late, {sum(point.load.failed.values())} failed, p99 {_ms(point.load.p99_s)} ms, of refusals "
        f"{_ms(point.load.refusal_p99_s)} ms, afterwards {_after(point)}{_mark(point.health, curve.deadline_s)}"
    )


def pair_line(pair: Pair) -> str:
    """A pair in a line."""
    return (
        f"{pair.other} beside {pair.kind} {pair.hot} at {pair.times:g} x: p99 {_ms(pair.alone.p99_s)} -> "
        f"{_ms(pair.beside.p99_s)} ms, in time {pair.alone.share:.1%} -> {pair.beside.share:.1%}"
        f"{_mark(pair.health, pair.deadline_s)}"
    )


def _how(found: Overload) -> list[str]:
    told = found.environment
    python = told.interpreter
    rows = [
        ["machine", f"{told.processor}, {told.cores} cores, {told.memory_gb} GB, {told.system}"],
        ["interpreter", f"{python.version}, **{'optimised' if python.optimised else 'not optimised'}**"],
        ["versions", ", ".join(f"{name} {version}" for name, version in told.versions.items())],
        ["revision", told.revision + (", with changes that are not committed" if told.revision.endswith("+") else "")],
        ["begun", f"{found.started}, steps of {found.seconds:g} s"],
        ["cores", "the client has the last, the server the others" if found.pinned else "**one for both**"],
        ["other load", _other_load(found)],
    ]
    if found.refusal_s is not None:
        rows.append(["a refusal", f"{found.refusal_s * 1e6:,.0f} µs of a core"])
    how = (
        "`signet serve --batch-max-rows 1`, one row a request, JSON over HTTP. An open loop at random times (Poisson): "
        "requests are sent when they are due, answered or not, and say in `X-Request-Timeout` how long their caller waits, who "
        "hangs up after 1.5 times that. The "
        "capacity is what a closed loop gets. Goodput is the answers in time a second, over the peak. A point "
        f"at which the client itself lags (1 in 100 sends or wake-ups later than {figures.LAGS:.0%} of the deadline, "
        f"{figures.FULL_CORE:.0%} of its core, fewer than {figures.SENT:.0%} of the requests sent, or more than "
        f"{figures.WAITED:.0%} without a connection) is marked and not "
        "counted. After each step the load goes on at 0.7 times the capacity. One core can give at most 1 − (x − 1)·C·r of "
        "the capacity C, where r is the processor time of a refusal: what the server used beyond its answers, where it refused "
        "most. A server that is overloaded and yet uses less than its cores had to share them with other load. Nobody "
        "throttles here: the clients of this project do (`clients/client/throttling.py`)."
    )
    return [how, table(["", ""], rows)]


def _other_load(found: Overload) -> str:
    healths = [point.health for curve in found.curves for point in curve.points] + [pair.health for pair in found.pairs]
    if not healths:
        return "nothing was measured"
    cores = sorted(health.other_cores for health in healths)
    said = f"{cores[len(cores) // 2]:.2f} cores in the middle, at most {cores[-1]:.2f}"
    return f"**{said}: the run was disturbed**" if cores[len(cores) // 2] >= report.DISTURBED_CORES else said


def _curve(curve: Curve, refusal_s: float | None) -> list[str]:
    said = (
        f"`{curve.model}`: {_MEANT.get(curve.model, '')}. {curve.capacity:,.0f} answers/s, {curve.call_s * 1e3:.2f} ms from "
        f"request to answer; deadline {curve.deadline_s * 1e3:g} ms; {curve.answer_s * 1e6:,.0f} µs of a core an answer."
    )
    head = ["x", "sent/s", "goodput", "bound", "p99 ms", "refused", "their p99 ms", "µs each", "late", "failed"]
    head += ["after: 1st, 2nd s", "server's cores", "client late, p99 ms", "its core"]
    rows = [_row(curve, point, refusal_s) for point in curve.points]
    return [f"## {curve.model.capitalize()}", said, table(head, rows), _verdicts(curve)]


def _row(curve: Curve, point: Point, refusal_s: float | None) -> list[str]:
    told, lags = point.load, point.health.lags(curve.deadline_s)
    goodput = f"{point.goodput / curve.peak:.2f}"
    return [
        f"{point.times:g}" + (" (client lags)" if lags else ""),
        f"{told.sent / point.seconds:,.0f}",
        f"({goodput})" if lags else goodput,
        "–" if refusal_s is None else f"{curve.bound(point, refusal_s):.2f}",
        _ms(told.p99_s),
        f"{told.refused / max(1, told.sent):.0%}",
        _ms(told.refusal_p99_s),
        _us(curve.refusal_s(point)) if told.refused >= _MANY * told.sent else "–",
        f"{told.late:,}",
        _failed(told),
        _after(point),
        f"{point.server_s / point.seconds:.2f}",
        f"{point.health.late_p99_s * 1e3:.1f}",
        f"{point.health.cores:.2f}",
    ]


def _verdicts(curve: Curve) -> str:
    """What is asked for, and at how many of the points that count it is so."""
    wanted = figures.GOODPUT.get(curve.model, 0.0)
    loaded = [point for point in curve.counted if point.times >= 1]
    checks = [
        (
            f"goodput ≥ {wanted:.0%} of the peak",
            [
                point.goodput >= wanted * curve.peak * min(1.0, point.load.sent / point.seconds / curve.peak)
                for point in loaded
            ],
        ),
        (
            "p99 of answers within the deadline",
            [point.load.p99_s is not None and point.load.p99_s <= curve.deadline_s for point in loaded],
        ),
        (
            f"p99 of refusals < {figures.REFUSAL_S * 1e3:g} ms",
            [point.load.refusal_p99_s < figures.REFUSAL_S for point in loaded if point.load.refusal_p99_s is not None],
        ),
        (
            f"≥ {figures.RECOVERED:.0%} in time from one second after on",
            [point.after[-1] >= figures.RECOVERED for point in loaded],
        ),
    ]
    told = [f"- {what}: {_of(kept)}" for what, kept in checks]
    return "At the points from 1 x on that count:\n\n" + "\n".join(told)


def _of(kept: Sequence[bool]) -> str:
    if not kept:
        return "not measured"
    return f"yes, at {len(kept)}" if all(kept) else f"**at {sum(kept)} of {len(kept)}**"


def _pairs(pairs: Sequence[Pair], title: str) -> list[str]:
    if not pairs:
        return []
    is_models = pairs[0].kind == "models"
    said = (
        "The hot model is asked for ten times half its capacity, the other for 0.8 of half of its own. The latter's p99 may be "
        f"{figures.BESIDE:g} times that alone, and a call of the hot model."
        if is_models
        else "Two addresses ask for one model: one for 0.8 of half the capacity, the other for twelve times that. The former is "
        f"to get {figures.KEPT:.1%} in time."
    )
    head = ["hot", "other", "hot sent/s", "other sent/s", "p99 alone ms", "beside ms"]
    head += [
        *(["allowed ms"] if is_models else []),
        "in time alone",
        "beside",
        "hot in time/s",
        "client late, p99 ms",
        "kept",
    ]
    rows = []
    for pair in pairs:
        lags = pair.health.lags(pair.deadline_s)
        rows.append(
            [
                pair.hot,
                pair.other,
                f"{pair.hot_rate:,.0f}",
                f"{pair.other_rate:,.0f}",
                _ms(pair.alone.p99_s),
                _ms(pair.beside.p99_s),
                *([_ms(pair.allowed_s)] if is_models else []),
                f"{pair.alone.share:.1%}",
                f"{pair.beside.share:.1%}",
                f"{_rate(pair.hot_load, pair.hot_rate):,.0f}",
                f"{pair.health.late_p99_s * 1e3:.1f}",
                "not counted: the client lags" if lags else "yes" if pair.kept else "**no**",
            ]
        )
    return [f"## {title}", said, table(head, rows)]


def _rate(load: Tally, sent_a_s: float) -> float:
    return load.share * sent_a_s


def _after(point: Point) -> str:
    return ", ".join(f"{share:.0%}" for share in point.after)


def _failed(load: Tally) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(load.failed.items())) or "0"


def _mark(health: Health, deadline_s: float) -> str:
    return f" (the client lags: {health.late_p99_s * 1e3:.1f} ms)" if health.lags(deadline_s) else ""


def _us(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e6:,.0f}"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e3:.1f}"
