"""`make bench`: every server beside the engine's own loop, another revision and TensorFlow Serving, interleaved in one run.

    python -m tests.bench [--base REVISION] [--out FOLDER] [--only 'digits*64'] [--servers 'embedded*'] [--quick]
    python -m tests.bench --page [FOLDER/results.json]

    models, servers up ──▶ each load: rounds of A B C, C B A, … ──▶ FOLDER/results.json ──▶ results.md, pictures
                                            a results.json ──(--page)──▶ docs/performance.md and its pictures

$TFS_BIN names a tensorflow_model_server to be measured too. Needs wrk and h2load (Debian: wrk, nghttp2-client). Ctrl-C ends
it; what has been measured until then is written. Exit code 1: some server answered wrongly, and has no figure there.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests import programs, servers
from tests.bench import contenders, environment, export, loads, report, results, revision, rounds, targets
from tests.bench.contenders import Contender
from tests.bench.ratios import spread
from tests.bench.results import Block, Results

PAGE = servers.ROOT / "docs" / "performance.md"
KEPT = PAGE.with_suffix("")
"""Folder of the results that the page is made of, and of its pictures."""
COMMAND = "python -m tests.bench --page"
QUICK_ROUNDS, QUICK_SECONDS = 3, 0.4
INTERRUPTED = 130


def main() -> int:
    options = arguments()
    if options.page is not None:
        keep(Path(options.page))
        return 0
    try:
        for program in ("wrk", "h2load"):
            programs.need(program)
        return run(options)
    except (ValueError, AssertionError, revision.NoRevision) as error:  # a program that is missing, or does not start
        print(f"make bench: {error}", file=sys.stderr)
        return 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="", help="git revision whose servers are measured beside these")
    parser.add_argument("--out", type=Path, default=servers.ROOT / ".bench", help="folder for results")
    parser.add_argument("--only", action="append", default=[], help="pattern of loads, such as 'digits*64'; repeatable")
    parser.add_argument("--servers", action="append", default=[], help="pattern of servers; repeatable")
    parser.add_argument("--quick", action="store_true", help="few loads, short runs: three minutes")
    parser.add_argument("--rounds", type=int, help=f"runs of each server at each load; default 6, quick {QUICK_ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"length of a run; default 1, quick {QUICK_SECONDS}")
    parser.add_argument(
        "--least-warming", type=float, default=rounds.LEAST_WARMING_S, help="seconds, at least, before the first run"
    )
    parser.add_argument("--models", type=Path, help="folder of the exported models: made where it lacks them, and kept")
    parser.add_argument(
        "--page",
        nargs="?",
        const=KEPT / results.FILE,
        help=f"measure nothing: write {PAGE.name} from such results; default: from those that it was made of",
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else 6)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else 1.0)
    return options


def run(options: argparse.Namespace) -> int:
    """Measure, and write results as they come. Gives the exit code."""
    wanted = loads.select(options.only, options.quick)
    tfs = os.environ.get("TFS_BIN", "")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base = stack.enter_context(revision.checked_out(options.base)) if options.base else None
        models = (options.models or folder / "models").resolve()
        export.models(models, sorted({load.model for load in wanted}))
        config = servers.write_model_config(folder / "models.config", models)
        setting = contenders.Setting(models, config, base, tfs)
        names = contenders.select(setting.names, options.servers)
        found = Results(
            started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
            seconds=options.seconds,
            rounds=options.rounds,
            environment=environment.look(),
            servers=names,
            base=f"{base.commit}, {base.subject}" if base else "",
            tfs=environment.server_version(tfs) if tfs else "",
        )
        options.out.mkdir(parents=True, exist_ok=True)
        try:
            measure(found, wanted, setting, stack, folder, options)
        except KeyboardInterrupt:
            found.interrupted = True
            say("interrupted: writing what has been measured")
        finally:
            publish(found, options.out)
    print((options.out / "results.md").read_text())
    if found.interrupted:
        return INTERRUPTED
    return 1 if any(block.failures for block in found.blocks) else 0


def measure(
    found: Results,
    wanted: list[loads.Load],
    setting: contenders.Setting,
    stack: ExitStack,
    folder: Path,
    options: argparse.Namespace,
) -> None:
    """Start the servers and fill the results, a block for each load."""
    engine = contenders.engine(stack, setting.models)
    running: list[Contender] = []
    for contender in contenders.start(stack, setting, found.servers):
        say(f"{contender.name} is up")
        running.append(contender)
    bench = rounds.Bench(engine, running, folder, found.seconds, found.rounds, options.least_warming)
    rounds.wait_until_idle(bench.pids())  # servers try out models that they have just loaded
    started = time.monotonic()
    for number, load in enumerate(wanted):
        if not any(contender.takes(load) for contender in running):
            continue
        left = (
            f", about {(time.monotonic() - started) / number * (len(wanted) - number) / 60:.0f} min left"
            if number
            else ""
        )
        say(f"[{number + 1}/{len(wanted)}] {load.name}{left}")
        block = Block(load)
        found.blocks.append(block)
        rounds.measure(bench, block, lambda text: say(f"    {text}"))
        for line in summary(block):
            say(f"    {line}")
        results.write(found, options.out / results.FILE)


def summary(block: Block) -> list[str]:
    """Requests/s of each server, and its ratios."""
    lines = []
    for name, samples in block.samples.items():
        rate = spread([sample.requests_per_s for sample in samples]).median
        ratios = [
            f"{report.text(ratio)} of {targets.reference(block, name, kind)}"
            for kind in ("limit", "base", "tfs")
            if (ratio := targets.ratio(block, name, kind))
        ]
        lines.append(f"{name:<28}{rate:>10,.0f}/s  {', '.join(ratios)}")
    return lines


def publish(found: Results, out: Path) -> None:
    """results.json, results.md and the pictures."""
    from tests.bench import plots

    results.write(found, out / results.FILE)
    (out / "results.md").write_text(report.page(found, plots.draw(found, out), "make bench"))


def keep(file: Path) -> None:
    """Make docs/performance.md of a file of results, and keep them beside its pictures."""
    from tests.bench import plots

    KEPT.mkdir(exist_ok=True)
    if file.resolve() != (KEPT / results.FILE).resolve():
        shutil.copyfile(file, KEPT / results.FILE)
    found = results.read(KEPT / results.FILE)
    for stale in KEPT.glob("*.svg"):
        stale.unlink()
    plots.draw(found, KEPT)
    PAGE.write_text(kept_page())


def kept_page() -> str:
    """The text of docs/performance.md, of the results and the pictures that are kept."""
    found = results.read(KEPT / results.FILE)
    titles = {**report.TITLES, "processor": "Processor time a request"}
    pictures = [(title, f"{KEPT.name}/{name}.svg") for name, title in titles.items() if (KEPT / f"{name}.svg").exists()]
    return report.page(found, pictures, COMMAND)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
