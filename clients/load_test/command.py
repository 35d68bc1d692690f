"""`signet load`: from what the user asked for to a result, its table, JSON and HTML."""

from dataclasses import replace

import uvloop
from rich.console import Console

from signet.clients.load_test import rate_search
from signet.clients.load_test.plan import slo
from signet.clients.load_test.plan.load_plan import LoadPlan
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.report import html_report, tables
from signet.clients.load_test.run import result
from signet.clients.load_test.run.prepared import PreparedLoad, prepare
from signet.clients.load_test.run.result import Result
from signet.clients.load_test.run.session import LoadSession
from signet.serving.exit_codes import ExitCode

_BY_SIGNAL = 128
_TRIES = 3
"""How often a rate is tried at which the limits broke while this client could not keep up."""


def load(plan: LoadPlan, console: Console, progress_console: Console) -> int:
    """Run a load test and print what came of it. Gives the exit code: 0; 1 when a limit was not kept; 130, 143 by signal."""
    plan.check()
    ready = prepare(plan)
    run = _finding if plan.find else _measuring
    measured = uvloop.run(run(plan, ready, progress_console))
    if plan.prints_json:
        print(result.text(measured))
    else:
        tables.show(measured, console)
        if plan.json:
            result.write(measured, plan.json)
    if plan.html:
        html_report.write(measured, plan.html)
    if measured.interrupted:
        return _BY_SIGNAL + measured.signal
    return ExitCode.DONE if measured.kept else ExitCode.FAILED


async def _measuring(plan: LoadPlan, ready: PreparedLoad, console: Console) -> Result:
    """Run the steps as they were planned."""
    planned = plan.steps
    async with LoadSession(plan, ready, console) as session:
        await session.warm_up(planned[0])
        measured = session.result(planned, await session.run(planned))
        return replace(measured, verdicts=slo.judge(plan.limits, measured.total.measured()))


async def _finding(plan: LoadPlan, ready: PreparedLoad, console: Console) -> Result:
    """Search for the highest rate within the limits, beginning with the planned one."""
    (first,) = plan.steps
    search, limits = rate_search.RateSearch(first.from_rate), plan.limits
    done: list[Step] = []
    trials: list[bool] = []
    verdicts: list[slo.Verdict] = []
    busiest, tries = 0.0, 0
    async with LoadSession(plan, ready, console) as session:
        await session.warm_up(first)
        while (rate := search.next_rate()) is not None and len(done) < rate_search.MOST_TRIALS:
            number, step = len(done), Step(plan.seconds, rate, rate)
            cpu_share = await session.run([step], first=number)
            if session.generator.interrupted:
                break
            busiest = max(busiest, cpu_share)
            part = session.summary(number, step)
            judged = slo.judge(limits, part.measured())
            kept = all(verdict.kept for verdict in judged)
            done.append(step)
            trials.append(kept)
            verdicts = judged if kept else verdicts
            console.print(tables.trial_line(step, part, judged), highlight=False, markup=False, soft_wrap=True)
            tries += 1
            if kept or not session.client([number], cpu_share).overworked:
                search.judged(rate, kept)
                tries = 0
            elif tries == _TRIES:
                break  # it is this client that breaks the limits
        measured = session.result(done, busiest)
        return replace(measured, trials=trials, verdicts=verdicts, found_rate=search.kept)
