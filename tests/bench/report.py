"""A run's results as a page of Markdown: what was measured on, verdicts, ratios, figures.

Results ──▶ page(results, pictures)     a pure function: docs/performance.md is made by it
"""

from collections.abc import Iterable, Sequence

from tests.bench import targets
from tests.bench.contenders import LIMIT
from tests.bench.ratios import Spread, Verdict, spread
from tests.bench.results import Block, Results, Sample
from tests.bench.targets import Reference

DISTURBED_CORES = 0.1
"""From an upper quartile of so much on other load is told: a tenth of a core is a twentieth of a machine of two."""
_WORST = 12
"""Points with a higher p99 that are listed: half of all would be by chance."""
GENERATOR_CORES = 0.9
"""From here on the generator may have been the limit: wrk and h2load have a thread each."""

TITLES: dict[Reference, str] = {
    "limit": "To the engine's own loop",
    "base": "To the other revision",
    "tfs": "To TensorFlow Serving",
}
MEANINGS: dict[Reference, str] = {
    "limit": (
        "Requests/s over calls of the C API in one thread, with as many rows a call as a request has. More than 1 comes of rows "
        "that share a call, and of a second core."
    ),
    "base": "Requests/s over those of the same server as it was in {base}; of `-2` over one process.",
    "tfs": "Requests/s over those of the better of its two settings at that load, default or `--enable_batching`.",
}


def page(results: Results, pictures: Sequence[tuple[str, str]], command: str) -> str:
    """pictures: title and address of each; command: what the page says that it was made by."""
    parts = [
        "# Performance",
        f"Made from results by `{command}`: do not edit.",
        *_how(results),
        *_verdicts(results),
        *(f"![{title}]({address})" for title, address in pictures),
    ]
    parts += _costs(results)
    for kind in ("base", "tfs", "limit"):
        parts += _ratios(results, kind)
    parts += [*_processor(results), *_figures(results), *_disturbances(results), *_failures(results)]
    return "\n\n".join(parts) + "\n"


def described(results: Results) -> str:
    """What a picture says that it was drawn from."""
    return f"revision {results.environment.revision}, begun {results.started}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def text(measured: Spread | None) -> str:
    """Median and quartiles: 1.86 (1.80–1.93)."""
    return f"{measured.median:.2f} ({measured.low:.2f}–{measured.high:.2f})" if measured else "–"


def _how(results: Results) -> list[str]:
    found = results.environment
    python = found.interpreter
    built = f"PGO {'yes' if python.pgo else 'no'}, LTO {'yes' if python.lto else 'no'}, {python.level}"
    rows = [
        ["machine", f"{found.processor}, {found.cores} cores, {found.memory_gb} GB, {found.system}"],
        ["interpreter", f"{python.version}, **{'optimised' if python.optimised else 'not optimised'}** ({built})"],
        ["versions", ", ".join(f"{name} {version}" for name, version in found.versions.items())],
        [
            "revision",
            found.revision + (", with changes that are not committed" if found.revision.endswith("+") else ""),
        ],
        ["begun", f"{results.started}, {results.rounds} rounds of {results.seconds:g} s"],
        ["other load", _other_load(results)],
    ]
    if results.base:
        rows.insert(4, ["beside it, `base-…`", results.base])
    if results.tfs:
        rows.insert(4, ["TensorFlow Serving", results.tfs])
    if results.interrupted:
        rows.append(["end", "**interrupted**: what follows is what had been measured"])
    how = (
        "All servers are up at the same time and one is loaded at a time, in rounds: A B C, then C B A. A ratio is taken "
        "within a round, whose runs are seconds apart; told are the rounds' median and, in brackets, their quartiles. "
        "Each server had to answer with the right values before, and any failed answer takes the figure away. Loads are a model, "
        "a dialect and callers: connections, over gRPC connections x calls in flight on each; closed loops by wrk and h2load "
        "on the same cores. The models have the notebook's sizes (`tests/bench/models.py`)."
    )
    return [how, table(["", ""], rows)]


def _other_load(results: Results) -> str:
    cores = [each for block in results.blocks for each in block.other_cores]
    if not cores:
        return "nothing was measured"
    found = spread(cores)
    averages = [average for block in results.blocks for average in block.load_averages]
    said = (
        f"{found.median:.2f} cores (quartiles {found.low:.2f}–{found.high:.2f}, most {found.most:.2f}), load average "
        f"{min(averages):.1f}–{max(averages):.1f} with the benchmark's own"
    )
    return f"**{said}: the run was disturbed**" if found.high >= DISTURBED_CORES else said


def _verdicts(results: Results) -> list[str]:
    parts = []
    for kind, there in (("base", results.base), ("tfs", results.tfs)):
        if there:
            rows = [
                [
                    target.load,
                    target.server,
                    f"≥ {target.ratio:g}",
                    text(found.measured if found else None),
                    said(found),
                ]
                for target, found in targets.verdicts(results, kind)
            ]
            parts += [
                f"## Targets: {TITLES[kind][0].lower()}{TITLES[kind][1:]}",
                MEANINGS[kind].format(base=results.base),
            ]
            parts.append(table(["load", "server", "target", "measured", "verdict"], rows))
    if results.base and (latencies := targets.latencies(results)):
        worse = [one for one in latencies if not one[2].reached]
        surely = [one for one in worse if one[2].rounds == one[2].measured.count]
        chance = len(latencies) / 2**results.rounds
        parts.append(
            f"The p99, held against the other revision's at {len(latencies)} points: not higher at "
            f"{len(latencies) - len(worse)}, higher in some rounds at {len(worse) - len(surely)}, in every round at "
            f"**{len(surely)}**, where chance alone would make it so at {chance:.1f}."
            + (f" The {_WORST} worst:" if len(worse) > _WORST else "")
        )
        if worse:
            worse = sorted(worse, key=lambda one: (one not in surely, -one[2].measured.median))[:_WORST]
            rows = [
                [load, server, text(found.measured), f"{found.rounds} of {found.measured.count}"]
                for load, server, found in worse
            ]
            parts.append(table(["load", "server", "p99 over the other's", "higher in rounds"], rows))
    return parts


def _costs(results: Results) -> list[str]:
    costs = targets.costs(results)
    if not costs:
        return []
    meaning = (
        "Processor time a request over that of `embedded`: what it costs `watched` to ask for keys, to write a line for each "
        "request that fails, and to keep one of a hundred with its tensors; `watched-all` writes a line for each request."
    )
    rows = [[load, server, f"≤ {found.target:g}", text(found.measured), said(found)] for load, server, found in costs]
    return ["## Keys and logs", meaning, table(["load", "server", "target", "measured", "verdict"], rows)]


def said(verdict: Verdict | None) -> str:
    """In words."""
    if verdict is None:
        return "not measured"
    rounds = (
        "every round"
        if verdict.rounds == verdict.measured.count
        else f"{verdict.rounds} of {verdict.measured.count} rounds"
    )
    return f"reached, in {rounds}" if verdict.reached else f"**not reached**, in {rounds}"


def _shown(results: Results) -> list[str]:
    """Servers that have figures."""
    return [name for name in results.servers if any(name in block.samples for block in results.blocks)]


def _ratios(results: Results, kind: Reference) -> list[str]:
    columns = [
        name
        for name in _shown(results)
        if any(targets.ratio(block, name, kind) is not None for block in results.blocks)
    ]
    if not columns:
        return []
    rows = [
        [block.load.name, *(text(targets.ratio(block, name, kind)) for name in columns)] for block in results.blocks
    ]
    return [f"## {TITLES[kind]}", MEANINGS[kind].format(base=results.base), table(["load", *columns], rows)]


def _processor(results: Results) -> list[str]:
    columns = [*([LIMIT] if results.blocks else []), *_shown(results)]
    rows = [[block.load.name, *(_microseconds(block, name) for name in columns)] for block in results.blocks]
    meaning = (
        "Microseconds of a core for each request, user and system, of the program and its children; after a plus of the model "
        "server behind it. The clock of the system counts in hundredths of a second."
    )
    return ["## Processor time a request", meaning, table(["load", *columns], rows)] if columns else []


def _microseconds(block: Block, server: str) -> str:
    samples = block.samples.get(server, [])
    if not samples:
        return "–"
    own, behind = (
        spread([figure(sample) for sample in samples]).median
        for figure in (lambda sample: sample.processor_us, lambda sample: sample.behind_us)
    )
    return f"{own:,.0f}" + (f" + {behind:,.0f}" if behind else "")


def _figures(results: Results) -> list[str]:
    parts = [
        "## Figures",
        "Medians of the rounds. They hold for this run on this machine; compare by the ratios above.",
    ]
    rows = [
        [block.load.name, name, *_of_samples(block.samples[name])]
        for block in results.blocks
        for name in [LIMIT, *results.servers]
        if name in block.samples
    ]
    return [*parts, table(["load", "server", "requests/s", "p50 ms", "p99 ms", "least–most requests/s"], rows)]


def _of_samples(samples: Sequence[Sample]) -> list[str]:
    rate = spread([sample.requests_per_s for sample in samples])
    p50_s, p99_s = (
        spread([figure(sample) for sample in samples]).median
        for figure in (lambda sample: sample.p50_s, lambda sample: sample.p99_s)
    )
    return [f"{rate.median:,.0f}", f"{p50_s * 1e3:.2f}", f"{p99_s * 1e3:.2f}", f"{rate.least:,.0f}–{rate.most:,.0f}"]


def _disturbances(results: Results) -> list[str]:
    """What the figures may have suffered from, by load."""
    rows = []
    for block in results.blocks:
        if (cores := block.other_cores) and (found := spread(cores)).high >= DISTURBED_CORES:
            averages = "–".join(f"{average:.1f}" for average in block.load_averages)
            rows.append([block.load.name, f"{found.median:.2f} ({found.low:.2f}–{found.high:.2f})", averages])
    parts = []
    if rows:
        said = "Cores that other programs, and other guests of the host, used while servers were measured: median and quartiles."
        parts += ["## Disturbed by other load", said]
        parts.append(table(["load", "cores", "load average, begin–end"], rows))
    narrow = [
        [block.load.name, name, f"{cores:.2f}"]
        for block in results.blocks
        for name, samples in block.samples.items()
        if (cores := spread([sample.generator_s / sample.seconds for sample in samples]).median) >= GENERATOR_CORES
    ]
    if narrow:
        parts += ["## Limited by the load generator", "It used its one core nearly whole: these servers could do more."]
        parts.append(table(["load", "server", "cores of the generator"], narrow))
    return parts


def _failures(results: Results) -> list[str]:
    rows = [
        [block.load.name, name, why.replace("|", "\\|").replace("\n", " ")[:300]]
        for block in results.blocks
        for name, why in block.failures.items()
    ]
    return ["## Without a figure", table(["load", "server", "why"], rows)] if rows else []
