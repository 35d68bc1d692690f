"""`make bench-faults`: one of three model servers fails under load, in each way; docs/faults.md says what callers notice.

    python -m tests.bench.faults [--rate 40] [--only 'frozen*'] [--page]

    three servers, a gateway, callers in an open loop ──▶ 2 s well, 8 s with the fault, 4 s after it ──▶ a row of the table

Rows are kept in docs/faults/ as they come, each in place of the one before, and the page is made of them; --page makes
it again. A row whose callers lagged is measured once more, and marked if they do so again.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import httpx

from tests import servers
from tests.bench import environment
from tests.bench.faults.callers import HUNG_S, Callers, Outcome
from tests.bench.faults.kinds import FAULTS, FIRST_DELAY_S, Fault
from tests.bench.faults.setting import Place

PAGE = servers.ROOT / "docs" / "faults.md"
RESULTS = servers.ROOT / "docs" / "faults" / "results.json"
BEFORE_S, DURING_S, AFTER_S = 2.0, 8.0, 4.0
LAGGED_MS = 100.0
"""Callers that are later than this in one of a hundred cases have measured themselves."""
_TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end of table -->)", re.DOTALL)


@dataclass
class Row:
    """What callers noticed of one fault."""

    fault: str
    started: str
    rate: float
    asked: int
    good: int
    codes: dict[str, int]
    """Of answers that were not good."""
    before_p99_ms: float
    p50_ms: float
    p99_ms: float
    after_p99_ms: float
    slowest_s: float
    hung: int
    wrong: int
    amplification: float
    """Calls on model servers, for each that was made for the first time."""
    growth_mb: float
    tracebacks: int
    late_p99_ms: float
    """How late the callers were."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-faults", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    parser.add_argument("--only", default="*", help="pattern of faults")
    parser.add_argument("--page", action="store_true", help="measure nothing: write the table again")
    options = parser.parse_args()
    if not options.page:
        rows = []
        for fault in FAULTS:
            if fnmatchcase(fault.name, options.only):
                found = asyncio.run(measure(fault, options.rate))
                if found.late_p99_ms > LAGGED_MS:
                    found = asyncio.run(measure(fault, options.rate))
                rows.append(found)
                print(line(asdict(found)), file=sys.stderr, flush=True)
                keep(found)
        return 1 if any(row.hung or row.wrong or row.tracebacks for row in rows) else 0
    PAGE.write_text(page(PAGE.read_text(), json.loads(RESULTS.read_text())))
    return 0


async def measure(fault: Fault, rate: float) -> Row:
    """Start everything anew, and let one of three servers fail."""
    places = [Place() for _ in range(3)]
    await asyncio.gather(*(place.start(FIRST_DELAY_S) for place in places))
    addresses = ",".join(f"127.0.0.1:{place.door.port}" for place in places)
    options = ("--hedge-after", fault.hedge_after) if fault.hedge_after else ()
    running = servers.gateway("--backend", addresses, "--models", "two_in", *options)
    url, program = await asyncio.to_thread(running.__enter__)
    try:
        callers = Callers(url, await asyncio.to_thread(servers.grpc_address, program))
        await callers.load(rate, 2.0, time.perf_counter())  # first calls are slow
        began, before, memory = time.perf_counter(), await counts(url), program.resident_bytes()
        load = asyncio.create_task(callers.load(rate, BEFORE_S + DURING_S + AFTER_S, began))
        await asyncio.sleep(BEFORE_S)
        await fault.begin(places[0])
        began_s = time.perf_counter() - began
        await asyncio.sleep(DURING_S)
        await fault.end(places[0])
        ended_s = time.perf_counter() - began
        outcomes = await load
        after, grown = await counts(url), program.resident_bytes() - memory
        await callers.close()
        await asyncio.to_thread(program.stop)
        found = row(fault.name, rate, outcomes, began_s, ended_s)
        sent, again = (after[name] - before[name] for name in ("sent", "again"))
        found.amplification = round(sent / max(1.0, sent - again), 3)
        found.growth_mb = round(grown / 1e6, 1)
        found.wrong, found.tracebacks = callers.wrong, program.output.count("Traceback")
        return found
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
        for place in places:
            await place.close()


async def counts(url: str) -> dict[str, float]:
    """Calls sent to model servers, and those of them that were made again."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics", timeout=30)).text
    names = {"sent": ("channel_requests",), "again": ("retries", "hedges")}
    return {
        key: sum(
            float(number)
            for name in of
            for number in re.findall(rf"^signet_upstream_{name}_total{{[^}}]*}} (\S+)", text, re.MULTILINE)
        )
        for key, of in names.items()
    }


def row(fault: str, rate: float, outcomes: list[Outcome], began_s: float, ended_s: float) -> Row:
    """The row without what the gateway told."""

    def quantile(share: float, of: list[float]) -> float:
        return round(sorted(of)[int(share * (len(of) - 1))] * 1e3, 1) if of else 0.0

    during = [each for each in outcomes if began_s <= each.at_s < ended_s]
    return Row(
        fault=fault,
        started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        rate=rate,
        asked=len(outcomes),
        good=sum(each.good for each in outcomes),
        codes=dict(Counter(each.code for each in outcomes if not each.good)),
        before_p99_ms=quantile(0.99, [each.seconds for each in outcomes if each.at_s < began_s]),
        p50_ms=quantile(0.5, [each.seconds for each in during]),
        p99_ms=quantile(0.99, [each.seconds for each in during]),
        after_p99_ms=quantile(0.99, [each.seconds for each in outcomes if each.at_s >= ended_s]),
        slowest_s=round(max(each.seconds for each in outcomes), 2),
        hung=sum(each.seconds > HUNG_S for each in outcomes),
        wrong=0,
        amplification=0.0,
        growth_mb=0.0,
        tracebacks=0,
        late_p99_ms=quantile(0.99, [each.late_s for each in outcomes]),
    )


def keep(found: Row) -> None:
    """Keep a row, and make the page's table again."""
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    by_name = {**{each["fault"]: each for each in before}, found.fault: asdict(found)}
    results = {
        "environment": asdict(environment.look()),
        "rows": [by_name[fault.name] for fault in FAULTS if fault.name in by_name],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), results))


def page(text: str, found: dict) -> str:
    """The page with the table of these results."""
    started = sorted(each["started"] for each in found["rows"])
    rates = sorted({each["rate"] for each in found["rows"]})
    head = (
        f"`make bench-faults`, {started[0]} to {started[-1]}: {', '.join(f'{rate:g}' for rate in rates)} requests a second, "
        f"{BEFORE_S:g} s before, {DURING_S:g} s with and {AFTER_S:g} s after the fault.\n\n"
        "| one of three servers … | good | errors | p99 before, ms | p50, p99 with it, ms | p99 after, ms | slowest, s | calls "
        "for each | memory, MB | callers late, p99, ms |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    table = head + "".join(f"{line(each)}\n" for each in found["rows"])
    return _TABLE.sub(lambda match: match[1] + table + match[2], text)


def line(row: dict) -> str:
    """A row of the table."""
    lagged = ", **callers lagged**" if row["late_p99_ms"] > LAGGED_MS else ""
    errors = ", ".join(f"{count} × {code}" for code, count in sorted(row["codes"].items())) or "–"
    return (
        f"| {row['fault']}{lagged} | {row['good']:,} of {row['asked']:,} | {errors} | {row['before_p99_ms']:g} "
        f"| {row['p50_ms']:g}, {row['p99_ms']:g} | {row['after_p99_ms']:g} | {row['slowest_s']:g} | {row['amplification']:.2f} "
        f"| {row['growth_mb']:+.1f} | {row['late_p99_ms']:g} |"
    )


if __name__ == "__main__":
    sys.exit(main())
