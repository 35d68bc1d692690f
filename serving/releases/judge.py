"""Is the candidate worse than the stable version? A pure function of what was counted: bad, good, or not yet.

    counted per version and step ──▶ alarm(evidence, policy) ──▶ a sentence why the candidate is to be stopped, or None
                                 └─▶ judge(evidence, policy, …) ──▶ Verdict: bad | good | not yet, and what was found

**Bad.** A request is given to the candidate by chance, with probability w, the share of its step. If the candidate is no
worse than the stable version, then an event (an error, a slow answer) is the candidate's with probability w, whatever
happened before. Were its events r times as frequent, that would be p = r w / (1 + (r - 1) w). The likelihood ratio of a step
in which the candidate has k events and the stable version s is

    LR_r = (p / w)^k ((1 - p) / (1 - w))^s = r^k / (1 + (r - 1) w)^(k + s)

Each event multiplies it by something of mean 1 (at most 1 if the candidate is better), so the product over steps, each with
its own w, is a supermartingale that starts at 1, also where a share is chosen by looking at all that was counted before; so
is its mean over relative risks r and over the steps that one may begin with. (By beginning at a later step a candidate is
caught that fails at a larger share only, or since noon, however well it has done before. Of that mean the largest term is
enough.) By Ville's inequality such an e-value e *ever* exceeds N / a with probability a / N at most: it may be looked at all
the time. N replicas that each judge their own counts at a / N, and four kinds of events that have their parts of a, are wrong
together with probability a at most: a union bound, which asks nothing of how they depend on each other. The order of events
is of no matter, nor which replica counted them: counts add up, and sums are evidence again.

Where the candidate has had more of a step's requests than chance explains, w is taken as its part of them. LR_r falls with w,
so this can only prevent an alarm: it does so where a caller that sends much has happened to come to the candidate.

Copies that are shown to the candidate only (shadow) have no such chance in them. Their failures, and answers that differ by
more than the tolerance, are held against the allowed harm h itself, by the likelihood ratio of Bernoulli(r h) against
Bernoulli(h).

An alarm also needs the harm seen since that beginning to be more than is allowed: with enough traffic *any* two versions
differ for sure.

**Good** needs that no alarm stands, bake time and requests in the present step, and that the candidate's rate of events is
above the stable version's by no more than the allowed harm, at worst: the upper end of the one's confidence sequence less the
lower end of the other's (Beta(1/2, 1/2) mixture, also good at any time). Everything else is "not yet", and says what is
missing.

**Which events to count.** Those of requests that were routed by chance: none that named a version or asked for one by a
header. What was refused before it was run is no error; what a graph calls its caller's fault is one, of either version alike.
Callers that keep to one version are given by chance once, not with each request: one caller whose requests always fail would
look like a bad version. So `error_keys` and `slow_keys`, which alarms are made of, count a caller once; see `FirstEvents`.
`errors` and `slow`, which harm is computed from, count every request.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import partial
from typing import Any, Self, TypeVar

from signet.serving.errors import UsageError
from signet.serving.releases.rates import highest_rate, lowest_rate

_RISKS = tuple(1.5 * (100 / 1.5) ** (i / 7) for i in range(8))
"""Relative risks, 1.5 to 100, each 1.8 times the one before."""
_LOG_RISKS = tuple(math.log(r) for r in _RISKS)
_ROOTS = sum(math.sqrt(r) for r in _RISKS)
_LOG_WEIGHTS = tuple(math.log(math.sqrt(r) / _ROOTS) for r in _RISKS)
"""Of the mean over them; more for large risks, which must be stopped soonest."""
_FIRST_START = 0.95
"""Weight of the e-value that begins with the first step."""
_LATER_STARTS = (1 - _FIRST_START) / 2.11
"""The sum of 1 / (n log(n)^2) from 2 on is 2.1097: with this times those, the weights of later steps, all are 1 at most."""
_MOST_BEGINNINGS = 16
"""Steps of the same share are joined to stay below this number of steps."""
_ROUNDING = 4e-15
"""Relative error of a logarithm here, taken off: 10^17 events must not alarm by rounding."""

ERRORS, SLOW, FAILED, DIFFERS = "errors", "slow", "failed", "differs"
PARTS = {ERRORS: 3 / 4, SLOW: 1 / 8, FAILED: 1 / 16, DIFFERS: 1 / 16}
"""Kind of event -> its part of alpha. failed and differs are those of copies."""
_BOUNDS = 8
"""Alpha is divided among so many confidence bounds; six are in use."""


# What is counted


@dataclass(slots=True)
class Counts:
    """What one version has answered in one step. All of them only ever grow."""

    requests: int = 0
    """Requests routed to it by chance that have ended, those with errors among them."""
    errors: int = 0
    """Of these, how many failed: in the call, or by the server's fault."""
    slow: int = 0
    """Of these, how many took longer than the stable version's slowest hundredth does."""
    error_keys: int = 0
    """Errors, those of one caller counted once; as many as `errors` where each request is a caller of its own."""
    slow_keys: int = 0
    """Slow answers, those of one caller counted once."""

    def problem(self) -> str:
        """What is wrong with these numbers, or ""."""
        for name, parts in (
            ("requests", "errors"),
            ("requests", "slow"),
            ("errors", "error_keys"),
            ("slow", "slow_keys"),
        ):
            if getattr(self, parts) > getattr(self, name):
                return f"{parts} is {getattr(self, parts)}, more than {name}, {getattr(self, name)}"
        return ""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(slots=True)
class Copies:
    """What came of requests that the candidate was shown a copy of."""

    copies: int = 0
    """Those that were run, whose answers were compared."""
    failed: int = 0
    """Of these, how many the candidate had no answer for, though the stable version had."""
    differs: int = 0
    """Of these, how many it answered otherwise by more than the tolerance."""

    def problem(self) -> str:
        """What is wrong with these numbers, or ""."""
        if self.failed + self.differs > self.copies:
            return f"failed is {self.failed} and differs {self.differs}, together more than copies, {self.copies}"
        return ""

    def __add__(self, other: "Copies") -> "Copies":
        return Copies(self.copies + other.copies, self.failed + other.failed, self.differs + other.differs)


@dataclass(slots=True)
class Step:
    """A time in which the share stayed as it was."""

    share: float
    """Part of the requests that the candidate is given, 0 to 1: of those counted here, by which they were routed."""
    number: int | None = 0
    """How many steps were begun before it; None for one that no evidence begins with, in a sum."""
    stable: Counts = field(default_factory=Counts)
    candidate: Counts = field(default_factory=Counts)
    copies: Copies = field(default_factory=Copies)

    @property
    def requests(self) -> int:
        """Requests of both versions, and copies."""
        return self.stable.requests + self.candidate.requests + self.copies.copies


@dataclass(slots=True)
class Evidence:
    """All that was counted of a release, step by step in the order of time, from its start on."""

    steps: list[Step] = field(default_factory=list)

    def begin(self, share: float) -> Step:
        """A new step, to count in. Needed with each change of the share; now and then besides, each minute or ten, it makes that
        a candidate is caught soon which has done well for long and then turns bad.

        There are 16 steps at most, and one more for each change of the share beyond that: old ones of the same share are joined.
        """
        before = self.steps[-1].number if self.steps else -1
        self.steps.append(Step(share, number=None if before is None else before + 1))
        if len(self.steps) > _MOST_BEGINNINGS:
            self._join_least()
        return self.steps[-1]

    def _join_least(self) -> None:
        """Join the two steps of one share which that makes the least difference to: few requests, a long time ago."""
        since, least, place = 0, math.inf, None
        for number in range(len(self.steps) - 2, 0, -1):  # the last one is counted in, and stays
            one, two = self.steps[number - 1], self.steps[number]
            both = one.requests + two.requests
            if one.share == two.share and (both + 1) / (both + since + 1) <= least:
                least, place = (both + 1) / (both + since + 1), number
            since += two.requests
        if place is not None:
            self.steps[place - 1 : place + 1] = [_joined(self.steps[place - 1], self.steps[place])]

    def at(self, share: float) -> Step:
        """What was counted with one share, as one step."""
        whole = Step(share)
        for step in self.steps:
            whole = _joined(whole, step) if step.share == share else whole
        return whole

    def __add__(self, other: "Evidence") -> "Evidence":
        """Of two replicas: steps with the same share are put together. Of what is lost thereby nothing makes an alarm."""
        both = Evidence([*self.steps, *other.steps])
        whole = [both.at(share) for share in sorted({step.share for step in both.steps})]
        for step in whole[1:]:
            step.number = None
        return Evidence(whole)

    def as_json(self) -> dict[str, Any]:
        """For `Evidence.parse`, of another replica's."""
        return asdict(self)

    @classmethod
    def parse(cls, values: Any) -> Self:
        """What `as_json` gave. Raises `UsageError`, which names the field that is wrong."""
        steps = values.get("steps") if isinstance(values, dict) else None
        if not isinstance(steps, list) or len(steps) > _MOST_STEPS:
            raise UsageError(f"the evidence is {_shown(values)}; expected 'steps', at most {_MOST_STEPS} of them")
        return cls([_parse_step(f"steps[{number}]", step) for number, step in enumerate(steps)])


_MOST_STEPS = 1000
_MOST_COUNT = (1 << 63) - 1


def _joined(one: Step, other: Step) -> Step:
    counts = (one.stable + other.stable, one.candidate + other.candidate, one.copies + other.copies)
    return Step(one.share, one.number, *counts)


def _parse_step(place: str, values: Any) -> Step:
    if not isinstance(values, dict) or values.keys() != {"share", "number", "stable", "candidate", "copies"}:
        raise UsageError(f"{place} is {_shown(values)}; expected share, number, stable, candidate and copies")
    number = values["number"]
    return Step(
        _number(f"{place}.share", values["share"], 0, 1),
        None if number is None else _whole(f"{place}.number", number, 0, _MOST_COUNT),
        _parse_counts(Counts, f"{place}.stable", values["stable"]),
        _parse_counts(Counts, f"{place}.candidate", values["candidate"]),
        _parse_counts(Copies, f"{place}.copies", values["copies"]),
    )


_Any = TypeVar("_Any", Counts, Copies)


def _parse_counts(kind: type[_Any], place: str, values: Any) -> _Any:
    names = {f.name for f in fields(kind)}
    if not isinstance(values, dict) or values.keys() != names:
        raise UsageError(f"{place} is {_shown(values)}; expected {', '.join(sorted(names))}")
    counts = kind(**{name: _whole(f"{place}.{name}", values[name], 0, _MOST_COUNT) for name in names})
    if problem := counts.problem():
        raise UsageError(f"{place}: {problem}")
    return counts


class FirstEvents:
    """Of which callers an event has been counted already in a release: counts each once. One for each kind of event.

    A caller of the stable version whom a larger share gives to the candidate is counted again with it: that is less likely for
    it than for anybody else. So only callers of the candidate must never be forgotten. Of the others old ones may be, which
    counts them twice and makes alarms rarer.
    """

    def __init__(self, most: int = 10_000) -> None:
        """most: callers that are remembered, of each version."""
        self._most = most
        self._candidate: set[int] = set()
        self._stable: set[int] = set()

    def first(self, key: int, *, candidate: bool) -> bool:
        """Whether this is a caller's first event with a version, as far as is remembered. key: its hash, 64 bits."""
        if key in self._candidate:
            return False
        if candidate:
            if len(self._candidate) >= self._most:
                return False
            self._candidate.add(key)
            return True
        if key in self._stable:
            return False
        if len(self._stable) >= self._most:
            self._stable.clear()
        self._stable.add(key)
        return True


# What it is judged by


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a release. Raises `UsageError` when made of what no limits can be."""

    alpha: float = 0.001
    """How likely a candidate that is no worse may ever be taken back, by any replica; and how likely a "good" may be wrong."""
    replicas: int = 16
    """N: at most so many count for themselves during a release: replicas x processes, and each start of one anew."""
    bake_s: float = 3600.0
    """Seconds that a step lasts at least before its candidate can be good."""
    minimum_requests: int = 200
    """The candidate's requests (copies, while it is given none) in a step before it can be good. Bad it can be at once."""
    errors: float = 0.01
    """Allowed harm: how much larger the part of failed requests may be than the stable version's. 0.01: one in a hundred."""
    slow: float = 0.05
    """Allowed harm: how much larger the part of slow requests may be than the stable version's. 1: as it likes."""
    differs: float = 1.0
    """Allowed harm: what part of its answers may differ by more than the tolerance. 1: as it likes; a retrained model differs."""
    tolerance: float = 0.1
    """The difference of an output, as a part of its largest value, beyond which an answer differs."""

    def __post_init__(self) -> None:
        _number("limits.alpha", self.alpha, 1e-12, 0.5)
        _whole("limits.replicas", self.replicas, 1, 10**6)
        _number("limits.bake_s", self.bake_s, 0, 1e9)
        _whole("limits.minimum_requests", self.minimum_requests, 1, 10**12)
        for name in (ERRORS, SLOW, DIFFERS):
            _number(f"limits.{name}", getattr(self, name), 1e-6, 1)
        _number("limits.tolerance", self.tolerance, 0, 1e9)

    @classmethod
    def parse(cls, limits: Mapping[str, Any]) -> Self:
        """The limits in a release's file, where those that are left out are the defaults. Raises `UsageError`."""
        names = [f.name for f in fields(cls)]
        if unknown := sorted(set(limits) - set(names)):
            raise UsageError(f"limits has {unknown[0]!r}; expected {', '.join(names)}")
        values = dict(limits)
        for name in {"replicas", "minimum_requests"} & values.keys():
            if isinstance(values[name], float) and values[name].is_integer():
                values[name] = int(values[name])  # 16.0: how other writers of JSON have it
        return cls(**values)

    def log_alarm(self, kind: str) -> float:
        """The logarithm of the e-value beyond which a kind of event makes an alarm: N / its part of alpha."""
        return math.log(self.replicas / (self.alpha * PARTS[kind]))


# The verdict


class Decision(StrEnum):
    """What is known of a candidate."""

    BAD = "bad"
    GOOD = "good"
    NOT_YET = "not_yet"
    """Not enough was seen. It is never "fine"."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one kind of events."""

    kind: str
    """errors, slow, failed or differs."""
    start: int
    """Number of the step, from 0, since which it looks worst. What follows here is of that time."""
    log_e: float
    """The evidence: natural logarithm of the e-value; at 0 and below there is none."""
    log_alarm: float
    """What it must exceed for an alarm."""
    harm: float
    """The candidate's rate of these events above the stable version's, as counted; less than 0 if it is better."""
    harm_at_most: float
    """The largest that it may be, by what was counted in the present step; at most 1."""
    allowed: float
    """The harm that the policy allows."""

    @property
    def alarm(self) -> bool:
        """Whether there is evidence enough, and harm enough, to stop the candidate."""
        return self.log_e > self.log_alarm and self.harm > self.allowed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `judge` says."""

    decision: Decision
    reason: str
    """A sentence: what was counted, or what is missing."""
    findings: tuple[Finding, ...]


def alarm(evidence: Evidence, policy: Policy) -> str | None:
    """Why the candidate is to be stopped, in a sentence, or None. To be asked after each event of the candidate's."""
    for kind in PARTS:
        allowed, log_alarm = _allowed(policy, kind), policy.log_alarm(kind)
        harms = _harms(evidence.steps, kind)
        if max(harms) <= allowed:  # nearly always: what follows costs ten times as much
            continue
        for start, (harm, log_e) in enumerate(zip(harms, _logs_e(evidence.steps, kind, allowed), strict=True)):
            if harm > allowed and log_e > log_alarm:
                return _accusation(evidence.steps[start:], kind)
    return None


def judge(evidence: Evidence, policy: Policy, *, share: float, baked_s: float) -> Verdict:
    """What is known of a candidate by now. evidence: a replica's, or the sum of all.

    share: what the candidate is given at present; 0 while it is shown copies only. baked_s: seconds since it is given that.
    A sum of replicas whose callers keep to one version counts a caller once for each: take "bad" of it as a warning then.
    """
    now = evidence.at(share)
    findings = tuple(_finding(evidence, now, kind, policy) for kind in PARTS)
    if guilty := next((one for one in findings if one.alarm), None):
        return Verdict(Decision.BAD, _accusation(evidence.steps[guilty.start :], guilty.kind), findings)
    if missing := _missing(findings, now, policy, baked_s):
        return Verdict(Decision.NOT_YET, f"not enough is seen yet: {missing}", findings)
    return Verdict(Decision.GOOD, _praise(now, findings), findings)


def _finding(evidence: Evidence, now: Step, kind: str, policy: Policy) -> Finding:
    allowed = _allowed(policy, kind)
    found = zip(_logs_e(evidence.steps, kind, allowed), _harms(evidence.steps, kind), strict=True)
    begun = [
        Finding(kind, start, log_e, policy.log_alarm(kind), harm, 1.0, allowed)
        for start, (log_e, harm) in enumerate(found)
    ]
    worst = max(begun, key=lambda one: (one.alarm, one.log_e))
    return replace(worst, harm_at_most=_harm_at_most(evidence, now, kind, policy.alpha / _BOUNDS))


def _allowed(policy: Policy, kind: str) -> float:
    return {ERRORS: policy.errors, FAILED: policy.errors, SLOW: policy.slow, DIFFERS: policy.differs}[kind]


def _missing(findings: Sequence[Finding], now: Step, policy: Policy, baked_s: float) -> str:
    """What stands between a candidate without an alarm and "good"; "" if nothing does."""
    shadow = now.share == 0
    seen = now.copies.copies if shadow else now.candidate.requests
    if seen < policy.minimum_requests:
        return f"{seen} of {policy.minimum_requests} {'copies' if shadow else 'requests'} in this step"
    if not baked_s >= policy.bake_s:
        return f"{max(0.0, baked_s):.0f} of {policy.bake_s:.0f} s in this step"
    needed = {FAILED, DIFFERS} if shadow else {ERRORS, SLOW, DIFFERS}
    for one in findings:
        if one.kind in needed and one.allowed < 1 and not one.harm_at_most <= one.allowed:
            worst, allowed = _percent(one.harm_at_most), _percent(one.allowed)
            return (
                f"by {seen} {_PLACES[shadow]} the harm by {_NOUNS[one.kind]} may be up to {worst}, allowed is {allowed}"
            )
    return ""


_NOUNS = {ERRORS: "errors", SLOW: "slow answers", FAILED: "copies without an answer", DIFFERS: "answers that differ"}
_PLACES = {True: "copies", False: "requests"}


def _accusation(steps: Sequence[Step], kind: str) -> str:
    stable = sum((step.stable for step in steps), Counts())
    candidate = sum((step.candidate for step in steps), Counts())
    if kind in (FAILED, DIFFERS):
        copies = sum((step.copies for step in steps), Copies())
        return f"{_NOUNS[kind]}: {getattr(copies, kind)} of {copies.copies} copies"
    return (
        f"{_NOUNS[kind]}: {getattr(candidate, kind)} of {candidate.requests} requests of the candidate's, "
        f"{getattr(stable, kind)} of {stable.requests} of the stable version's"
    )


def _praise(now: Step, findings: Sequence[Finding]) -> str:
    kinds = (FAILED, DIFFERS) if now.share == 0 else (ERRORS, SLOW, DIFFERS)
    limits = [
        f"{_NOUNS[one.kind]} {_percent(one.harm_at_most)}" for one in findings if one.kind in kinds and one.allowed < 1
    ]
    seen = now.copies.copies if now.share == 0 else now.candidate.requests
    return f"by {seen} {_PLACES[now.share == 0]} the harm is at most: {', '.join(limits)}"


# Evidence


def _logs_e(steps: Sequence[Step], kind: str, allowed: float) -> list[float]:
    """For each step that one may begin with: the logarithm of the e-value of one kind of events, times the weight of that step.

    -inf for a step that nothing begins with. What nothing was counted for is as one step without any events.
    """
    if kind in (ERRORS, SLOW):
        ratio = partial(_between_versions, "error_keys" if kind == ERRORS else "slow_keys")
    else:
        ratio = partial(_against_harm, kind, allowed)
    found = []
    products: Sequence[float] = _LOG_WEIGHTS
    for step in reversed(steps or [Step(0)]):
        products = [product + one for product, one in zip(products, ratio(step), strict=True)]
        found.append(-math.inf if step.number is None else _log_weight(step.number) + _log_sum(products))
    return found[::-1]


def _log_weight(number: int) -> float:
    """Logarithm of the weight of beginning with a step of this number, from 0."""
    if number == 0:
        return math.log(_FIRST_START)
    return math.log(_LATER_STARTS / (number + 1)) - 2 * math.log(math.log(number + 1))


def _between_versions(kind: str, step: Step) -> Sequence[float]:
    """The logarithm of LR_r of a step, for each risk r."""
    own, stable = getattr(step.candidate, kind), getattr(step.stable, kind)
    requests = step.candidate.requests + step.stable.requests
    share = step.share
    if not 0 < share < 1 or own + stable == 0:
        return _NOTHING  # nothing was left to chance, or nothing happened
    had = step.candidate.requests / requests if requests else 0.0
    if had - share > 4 * math.sqrt(share * (1 - share) / max(1, requests)):
        share = had
    ratios = []
    for risk, log_risk in zip(_RISKS, _LOG_RISKS, strict=True):
        gained, lost = own * log_risk, (own + stable) * math.log1p((risk - 1) * share)
        ratios.append(gained - lost - _ROUNDING * gained)
    return ratios


def _against_harm(kind: str, harm: float, step: Step) -> Sequence[float]:
    """The logarithm of the ratio of Bernoulli(r harm) against Bernoulli(harm) of a step's copies, for each risk r."""
    copies, events = step.copies.copies, getattr(step.copies, kind)
    if copies == 0 or harm >= 1:
        return _NOTHING
    ratios = []
    for risk in _RISKS:
        rate = min(risk * harm, (1 + harm) / 2)
        gained, lost = events * math.log(rate / harm), (copies - events) * math.log1p((harm - rate) / (1 - harm))
        ratios.append(gained + lost - _ROUNDING * gained)
    return ratios


_NOTHING = (0.0,) * len(_RISKS)


def _log_sum(logs: Sequence[float]) -> float:
    high = max(logs)
    return high + math.log(sum(math.exp(one - high) for one in logs))


# Harm


def _harms(steps: Sequence[Step], kind: str) -> list[float]:
    """For each step that one may begin with: the candidate's rate of events since then, above the stable version's then.

    Step by step, so that a night's traffic is held against the same night's.
    """
    found = []
    events = of = 0
    alike = 0.0
    for step in reversed(steps or [Step(0)]):
        if kind in (FAILED, DIFFERS):
            events, of = events + getattr(step.copies, kind), of + step.copies.copies
        else:
            stable, candidate = step.stable, step.candidate
            events, of = events + getattr(candidate, kind), of + candidate.requests
            alike += candidate.requests * (getattr(stable, kind) / stable.requests) if stable.requests else 0.0
        found.append((events - alike) / of if of else 0.0)
    return found[::-1]


def _harm_at_most(evidence: Evidence, now: Step, kind: str, alpha: float) -> float:
    """The upper end of the harm; each bound of a rate fails with probability alpha at most."""
    if kind in (FAILED, DIFFERS):
        copies = sum((step.copies for step in evidence.steps), Copies())
        return highest_rate(getattr(copies, kind), copies.copies, alpha)
    high = highest_rate(getattr(now.candidate, kind), now.candidate.requests, alpha)
    return high - lowest_rate(getattr(now.stable, kind), now.stable.requests, alpha)


# Numbers of strangers


def _number(name: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UsageError(f"{name} is {_shown(value)}; expected a number from {least:g} to {most:g}")
    return float(value)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise UsageError(f"{name} is {_shown(value)}; expected a whole number from {least} to {most}")
    return value


def _percent(part: float) -> str:
    return f"{100 * part:.2f}".rstrip("0").rstrip(".") + " %"


def _shown(value: Any) -> str:
    return repr(value)[:80]
