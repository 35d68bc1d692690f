"""`signet drift`: from its options to its table and its exit code.

--log ──files──▶ those of the model's signature, of its newest version there
the version's card, or --reference ──▶ Reference ──tally──▶ verdicts ──▶ table or JSON ──▶ 0 none drifts, 1 one does
"""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from signet.clients.drift import comparing
from signet.clients.drift.comparing import DRIFT, FEW, Limits, Verdict
from signet.clients.drift.log_columns import specs_of
from signet.clients.drift.options import DriftOptions
from signet.clients.request_log import files
from signet.clients.request_log.files import LogFile
from signet.clients.score import formats, storage
from signet.serving.errors import UsageError
from signet.serving.exit_codes import ExitCode
from signet.serving.models import distribution, model_card
from signet.serving.models.distribution import Reference
from signet.serving.models.model_card import Card
from signet.serving.models.request_columns import OUTPUT

_UNITS = {"m": 60, "h": 3600, "d": 86400}
_FILE_NAMES = {"float": "float32", "bfloat16": "float32", "double": "double"}


class NotComparable(UsageError):
    """Nothing can be said of drift, whatever is in the way: exit code 1 says that something drifts."""


def run(options: DriftOptions, console: Console, progress: Console) -> ExitCode:
    """The exit code. Raises `NotComparable`."""
    try:
        return _run(options, console, progress)
    except UsageError as error:
        raise NotComparable(str(error)) from error


def _run(options: DriftOptions, console: Console, progress: Console) -> ExitCode:
    formats.pyarrow("signet drift")
    since = time_of(options.since)
    logs = files.of(files.found(options.log), options.model, options.signature)
    version = options.version if options.version is not None else max(log.logged.version for log in logs)
    chosen = [log for log in logs if log.logged.version == version]
    if not chosen:
        known = ", ".join(map(str, sorted({log.logged.version for log in logs})))
        raise UsageError(f"the request log has nothing of version {version} of {options.model!r}; it has {known}")
    card = model_card.read(options.models_dir / options.model / str(version))
    with Progress(console=progress, transient=True, disable=not progress.is_terminal) as bar:
        reference = _reference(options, card, version, since, bar)
        _check_tensors(card, options, chosen[-1])
        task = bar.add_task("counting", total=len(chosen))
        counted = comparing.tally(reference, chosen, since, lambda _: bar.advance(task))
    if counted.rows < options.min_rows:
        when = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
        raise UsageError(f"the request log has {counted.rows} rows{when}; --min-rows is {options.min_rows}")
    verdicts = counted.verdicts(Limits(options.psi, options.ks, options.min_rows))
    drifts = any(verdict.verdict == DRIFT for verdict in verdicts)
    if options.json:
        console.print_json(json.dumps(_document(options, version, reference, counted.rows, verdicts)))
    else:
        for line in _shown(options, version, reference, counted.rows, verdicts):
            console.print(line)
    return ExitCode.FAILED if drifts else ExitCode.DONE


def time_of(text: str, now: datetime | None = None) -> datetime | None:
    """The time that 24h, 7d, 30m or 2026-11-29T12:00 stands for, in UTC; None for nothing. Raises `UsageError`."""
    if not text:
        return None
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text):
        return (now or datetime.now(UTC)) - timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since is {text!r}; expected 30m, 24h, 7d, or a time as 2026-11-29T12:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _reference(options: DriftOptions, card: Card, version: int, since: datetime | None, bar: Progress) -> Reference:
    if options.reference:
        logs = files.of(files.found(options.reference), options.model, options.signature)
        task = bar.add_task("reading the reference", total=len(logs))
        pad = card.content.get("pad_value", 0)
        return comparing.reference_of(logs, since, pad, lambda _: bar.advance(task))
    if card.problem:
        raise UsageError(card.problem)
    found = card.reference(options.signature)
    if found is None:
        where = options.models_dir / options.model / str(version) / model_card.FILE
        why = "has no reference" if card.content else "is not there"
        raise UsageError(
            f"{where} {why}: export the model again, by `signet train` or `signet export --example FILE` with at least "
            f"{distribution.LEAST_ROWS} rows; or compare with rows of a log from before: --reference {options.log} --since 24h"
        )
    return found


def _check_tensors(card: Card, options: DriftOptions, log: LogFile) -> None:
    """Raise `UsageError` for a tensor that the log has in another dtype or shape than the card says."""
    import pyarrow.parquet as pq  # noqa: PLC0415  # checked above

    with storage.of(log.path).open(log.path) as file:
        specs = specs_of(pq.read_schema(file))
    described = card.content.get("signatures", {}).get(options.signature, {})
    for prefix, kind in (("", "inputs"), (OUTPUT, "outputs")):
        for name, facts in described.get(kind, {}).items():
            spec = specs.get(prefix + name)
            if spec is None or spec.dtype is None or spec.shape is None or "complex" in str(facts.get("dtype")):
                continue
            due = str(facts.get("dtype")), list(facts.get("shape", []))
            came = _FILE_NAMES.get(spec.dtype.name, spec.dtype.name), list(spec.shape)
            if (_FILE_NAMES.get(due[0], due[0]), due[1][1:]) != (came[0], came[1][1:]):
                raise UsageError(
                    f"{prefix + name!r} is {came[0]} {came[1]} in {storage.shown(log.path)}, but {due[0]} {due[1]} in the card: "
                    "they are of different models"
                )


def _document(
    options: DriftOptions, version: int, reference: Reference, rows: int, verdicts: list[Verdict]
) -> dict[str, Any]:
    return {
        "model": options.model,
        "version": version,
        "signature": options.signature,
        "rows": rows,
        "reference": {"rows": reference.rows, "source": reference.source},
        "limits": {"psi": options.psi, "ks": options.ks, "min_rows": options.min_rows},
        "drift": any(verdict.verdict == DRIFT for verdict in verdicts),
        "columns": [asdict(verdict) for verdict in verdicts],
    }


def _shown(options: DriftOptions, version: int, reference: Reference, rows: int, verdicts: list[Verdict]) -> list[Any]:
    table = Table("column", "rows", "PSI", "KS", "missing", "new or outside", "verdict", box=None)
    for verdict in verdicts:
        table.add_row(
            verdict.column,
            f"{verdict.rows:,}",
            "–" if verdict.psi is None else f"{verdict.psi:.3f}",
            "–" if verdict.ks is None else f"{verdict.ks:.3f}",
            _change(verdict.missing),
            _change(verdict.new),
            verdict.verdict.upper() if verdict.verdict in (DRIFT, FEW) else verdict.verdict,
        )
    drifting = sum(verdict.verdict == DRIFT for verdict in verdicts)
    return [
        f"{options.model} version {version}, {options.signature}: {rows:,} rows of the log against {reference.rows:,} "
        f"{reference.source}",
        table,
        f"{drifting} of {len(verdicts)} columns drift: PSI above {options.psi:g} or KS above {options.ks:g}, and beyond chance.",
    ]


def _change(shares: tuple[float, float] | None) -> str:
    return "–" if shares is None or not any(shares) else f"{shares[0]:.1%} → {shares[1]:.1%}"
