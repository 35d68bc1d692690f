"""`signet release check`: whether a version may take traffic at all, found out beside the one that does."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signet.commands.spread import spread
from signet.serving.errors import UsageError
from signet.serving.exit_codes import ExitCode
from signet.serving.options import Option
from signet.serving.releases.gate.bounds import Bounds

if TYPE_CHECKING:
    from signet.serving.releases.gate.check import Recorded
    from signet.serving.releases.gate.isolation import Version
    from signet.serving.releases.gate.report import Report

FIRST = "none"


class NotChecked(UsageError):
    """There is nothing to check, or nothing to check it by: exit code 1 says that the candidate is refused."""


@dataclass(frozen=True)
class Asked:
    """What is to be checked, by which requests, and where the report goes."""

    model: Annotated[
        str, Option("The model, as its folder is called.", metavar="MODEL", is_argument=True, complete="here")
    ]
    version: Annotated[int, Option("The candidate.", metavar="VERSION", is_argument=True)]
    against: Annotated[
        str,
        Option(
            f"The version to compare with, or {FIRST}. [default: the stable one of the release, else the highest one below]",
            metavar="STABLE",
        ),
    ] = ""
    models_dir: Annotated[
        Path, Option("Folder of models, MODEL/VERSION/saved_model.pb.", variable="SIGNET_MODELS_DIR")
    ] = Path("models")
    log: Annotated[
        str, Option("What `signet serve --request-log` has written: its requests are asked of both.", metavar="PLACE")
    ] = ""
    json: Annotated[bool, Option("Print the report as JSON.")] = False
    html: Annotated[Path | None, Option("Write the report here, one file that needs no network.")] = None
    keep: Annotated[
        str,
        Option(
            "Keep the report beside the release in this folder of models, or address: `signet release promote` and the servers "
            "go by it, as by a check of their own.",
            metavar="PLACE",
        ),
    ] = ""


@spread
def check(asked: Asked, bounds: Bounds) -> None:
    """Hold a version against the stable one: signatures, operations, answers to golden, recorded and made-up requests.

    Each version runs in a process of its own; one that crashes or hangs is refused like any other that is wrong.

    Exit codes: 0 nothing speaks against it; 1 it is refused; 2 a mistake.

    signet release check digits 2
    signet release check digits 2 --log requests --html report.html
    """
    try:
        passed = _check(asked, bounds)
    except UsageError as error:
        raise NotChecked(str(error)) from error
    raise typer.Exit(ExitCode.DONE if passed else ExitCode.FAILED)


def refusal(models_dir: str, model: str, version: int, stable: int) -> str | None:
    """Why the gate refuses a version by its usual bounds, in a sentence; None: it does not. Raises `UsageError`."""
    from signet.serving.releases.gate import check as gate
    from signet.serving.releases.gate.isolation import Version
    from signet.serving.releases.gate.report import REFUSED

    candidate, other = (Version(model, number, Path(models_dir) / model / str(number)) for number in (version, stable))
    report = gate.check(candidate, other, Bounds())
    if report.passed:
        return None
    reasons = [one.text for one in report.findings if one.level == REFUSED]
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return (
        f"the gate refuses version {version}: {reasons[0]}{more} (`signet release check {model} {version}` tells all)"
    )


def who(by: str = "") -> str:
    """Who says so: the name that was given, or that of the user."""
    import getpass
    import socket

    try:
        return by or f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user may have no name
        return socket.gethostname()


def _check(asked: Asked, bounds: Bounds) -> bool:
    from signet.serving.releases.gate import check as gate
    from signet.serving.releases.gate import html
    from signet.serving.releases.gate.isolation import Version
    from signet.serving.releases.versions import versions

    known = versions(str(asked.models_dir), asked.model)
    if asked.version not in known and not (asked.models_dir / asked.model / str(asked.version)).is_dir():
        listed = ", ".join(map(str, known))
        raise UsageError(
            f"there is no version {asked.version} of {asked.model!r} in {asked.models_dir}; there is {listed}"
        )
    number = _stable(asked, known)
    candidate = Version(asked.model, asked.version, asked.models_dir / asked.model / str(asked.version))
    stable = Version(asked.model, number, asked.models_dir / asked.model / str(number)) if number is not None else None
    report = gate.check(candidate, stable, bounds, _recorded(asked, stable or candidate))
    if asked.html:
        try:
            asked.html.write_text(html.page(report))
        except OSError as error:
            raise UsageError(f"{asked.html} cannot be written: {error.strerror}") from error
    if asked.keep:
        _keep(asked, number, report)
    typer.echo(report.to_json() if asked.json else report.text(), nl=asked.json)
    return report.passed


def _keep(asked: Asked, stable: int | None, report: "Report") -> None:
    """Keep a report where servers keep theirs. Raises `UsageError`."""
    import json

    from signet.serving.releases import checks
    from signet.serving.releases.checks import Check, Checks, Progress
    from signet.serving.releases.gate import html
    from signet.serving.releases.store import ReleaseStore

    if stable is None:
        raise UsageError("--keep: the first version has no release whose gate this could be")
    store = ReleaseStore(asked.keep)
    kept, there = Checks(store), store.read(asked.model)
    if there is None or stable != there.stable:
        raise UsageError(
            f"--keep: there is no release of {asked.model!r} in {asked.keep} with version {stable} as the stable one"
        )
    folder = asked.models_dir / asked.model
    stamp = checks.stamp(folder / str(stable), folder / str(asked.version))
    salt = there.salt if there.open and there.candidate == asked.version else ""
    check = Check(asked.version, stable, stamp, Progress.CHECKING, 1, salt, by=who())
    check = checks.concluded(check, json.loads(report.to_json()))
    if not kept.replace(asked.model, check, kept.read(asked.model)):
        raise UsageError(f"--keep: another check of {asked.model!r} was kept meanwhile")
    kept.keep_page(asked.model, html.page(report).encode())


def _stable(asked: Asked, known: list[int]) -> int | None:
    """Which version to compare with; None: none. Raises `UsageError`."""
    from signet.serving.releases.store import ReleaseStore

    if asked.against == FIRST:
        return None
    if not asked.against:
        there = ReleaseStore(asked.models_dir).read(asked.model)
        if there is not None and there.stable != asked.version:
            return there.stable
        below = [number for number in known if number < asked.version]
        return below[-1] if below else None
    listed = ", ".join(map(str, known))
    if not asked.against.isdecimal() or int(asked.against) not in known:
        raise UsageError(f"--against is {asked.against[:100]!r}; expected {FIRST}, or a version: {listed}")
    if int(asked.against) == asked.version:
        raise UsageError(f"--against {asked.version} is the candidate itself")
    return int(asked.against)


def _recorded(asked: Asked, version: "Version") -> "Recorded":
    """The rows of the request log that each signature of the version takes; those that it has none for are left out."""
    from signet.clients.request_log import files, recorded
    from signet.serving.models import compatibility
    from signet.serving.releases.gate.requests import MOST_RECORDED

    if not asked.log:
        return {}
    logs = files.found(asked.log)
    contract = compatibility.read(version.path)
    found = {}
    for name, signature in contract.signatures.items() if contract else ():
        mine = [log for log in logs if (log.logged.model, log.logged.signature) == (asked.model, name)]
        if mine:
            found[name] = list(recorded.inputs_of(mine, signature, MOST_RECORDED))
    if not any(found.values()):
        raise UsageError(f"the request log {asked.log} has no whole request of {asked.model!r}")
    return found
