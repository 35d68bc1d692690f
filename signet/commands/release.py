"""`signet release`: a new version of a model takes traffic step by step, when somebody says so, and leaves it at once."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signet.commands import completing, release_check
from signet.commands.help import App

if TYPE_CHECKING:
    from signet.serving.releases.checks import Check
    from signet.serving.releases.release import Release
    from signet.serving.releases.replica import Replica
    from signet.serving.releases.store import ReleaseStore

app = App()

Model = Annotated[
    str, typer.Argument(help="The model, as its folder is called.", metavar="MODEL", autocompletion=completing.here)
]
ModelsDir = Annotated[
    str,
    typer.Option(
        help="Folder of models, MODEL/VERSION/saved_model.pb, or its address: s3://…, gs://….",
        envvar="SIGNET_MODELS_DIR",
    ),
]
DEFAULT = "models"
By = Annotated[
    str, typer.Option(help="Who says so. [default: user@machine]", envvar="SIGNET_RELEASE_BY", show_default=False)
]
Reason = Annotated[str, typer.Option(help="Why: it is kept in the history.")]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        help="Where replicas answer, such as http://HOST:PORT; may be given again. A name that has several addresses, such as "
        "a headless Service's, stands for all of them. $SIGNET_KEY is sent as an admin's key.",
        envvar="SIGNET_RELEASE_URLS",
        metavar="URL",
    ),
]
KeyFile = Annotated[
    str, typer.Option(help="File with an admin's key, as `signet keys add` prints it, instead of $SIGNET_KEY.")
]
CaFile = Annotated[str, typer.Option(help="PEM of who may sign the replicas' certificates.", envvar="SIGNET_CA_FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.callback()
def release() -> None:
    """Release a version of a model: to copies of requests first, then to a share of the callers, then to all.

    Running servers follow MODEL/release.json. Once a model has one, a version that appears is given no request that does not
    name it, until it is released. Servers take a bad version back by themselves; only people let it further.

    signet release start digits 2
    signet release promote digits --url http://localhost:8080
    signet release rollback digits
    """


app.command()(release_check.check)


@app.command()
def start(
    model: Model,
    version: Annotated[
        int | None,
        typer.Argument(
            help="The version that is to be released. Without one, the stable version is kept, and no more."
        ),
    ] = None,
    stable: Annotated[
        int | None,
        typer.Option(
            help="The version that answers now. [default: that of the release before, else the highest other one]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="What it is judged by; may be given again. See docs/releases.md.", metavar="NAME=NUMBER"),
    ] = None,
    url: Urls = None,
    key_file: KeyFile = "",
    ca_file: CaFile = "",
    by: By = "",
    reason: Reason = "",
    models_dir: ModelsDir = DEFAULT,
) -> None:
    """Begin the release of a version: both stay loaded, and the old one answers until the new one is promoted.

    With --url, what stands before a model server is asked whether that serves both.

    signet release start digits 2
    """
    from signet.serving.releases import actions
    from signet.serving.releases.versions import versions

    known, replicas = versions(models_dir, model), _replicas(url, model, key_file, ca_file)
    limits = _limits(limit or [])
    _tell(
        actions.start(
            *(_store(models_dir), model, known, replicas),
            by=release_check.who(by),
            version=version,
            stable=stable,
            limits=limits,
            reason=reason,
        )
    )


@app.command()
def status(
    model: Model,
    url: Urls = None,
    key_file: KeyFile = "",
    ca_file: CaFile = "",
    models_dir: ModelsDir = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show how far a release has come; with --url, what its replicas have seen, and whether it can be promoted.

    signet release status digits --url http://localhost:8080
    """
    import json

    from signet.serving.errors import UsageError
    from signet.serving.releases import checks, replica
    from signet.serving.releases import release as releases
    from signet.serving.releases.checks import Checks

    store = _store(models_dir)
    there = store.read(model)
    if there is None:
        raise UsageError(f"{model!r} has no release in {models_dir}: its highest version answers")
    check = Checks(store).read(model)
    replicas = _replicas(url, model, key_file, ca_file)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    **json.loads(releases.dumps(there)),
                    "gate": json.loads(checks.dumps(check)) if check else None,
                    **(replica.as_json(replicas) if url else {}),
                },
                indent=2,
            )
        )
        return
    lines = [*_lines(there), *_gates(there, check), *(_seen(there, replicas) if url else [])]
    for name, value in lines:
        typer.echo(f"{name:11}{value}")


@app.command()
def promote(
    model: Model,
    to: Annotated[
        str | None,
        typer.Option(help="The stage to go to: shadow, canary or done. [default: the next]", show_default=False),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            help="Share of the requests that it answers. [default: 0.05, then 0.5]", show_default=False, min=0, max=1
        ),
    ] = None,
    shadow: Annotated[
        float | None,
        typer.Option(
            help="Share of the other requests that it is shown copies of. [default: 1]",
            show_default=False,
            min=0,
            max=1,
        ),
    ] = None,
    url: Urls = None,
    key_file: KeyFile = "",
    ca_file: CaFile = "",
    force: Annotated[
        bool, typer.Option("--force", help="Do it whatever the replicas say, or without asking them; needs --reason.")
    ] = False,
    by: By = "",
    reason: Reason = "",
    models_dir: ModelsDir = DEFAULT,
) -> None:
    """Let a version further: to copies of requests, to a share of the requests, to a larger one, to all.

    Before it leaves the gate, what a server has found by itself decides; without that, `signet release check` is run with its
    usual bounds, where the versions lie in a folder.
    All replicas are asked first: they must have seen enough of it to know that it does no more harm than its limits allow.
    Without --to and --share, the steps are: copies, 5 %, 50 %, all.

    signet release promote digits --url http://localhost:8080
    """
    from signet.serving.releases import actions

    store = _store(models_dir)

    def replicas() -> "list[Replica]":
        there = store.latest(model)
        return _replicas(url, model, key_file, ca_file, generation=there.generation if there else 0)

    _tell(
        actions.promote(
            *(store, model, replicas),
            by=release_check.who(by),
            gate=lambda there: _gate(models_dir, there),
            to=to,
            share=share,
            shadow=shadow,
            force=force,
            reason=reason,
        )
    )


@app.command()
def rollback(model: Model, by: By = "", reason: Reason = "", models_dir: ModelsDir = DEFAULT) -> None:
    """Take a version back at once: the stable one answers everything. After it has become that, the one before does again.

    signet release rollback digits --reason "wrong labels"
    """
    from signet.serving.releases import actions
    from signet.serving.releases.versions import versions

    known = partial(versions, models_dir, model)
    _tell(actions.rollback(_store(models_dir), model, known, by=release_check.who(by), reason=reason))


@app.command()
def history(model: Model, models_dir: ModelsDir = DEFAULT, as_json: AsJson = False) -> None:
    """Show all that was done to the releases of a model, the last 200 changes, the oldest first.

    signet release history digits
    """
    import json

    from signet.serving.releases import release as releases

    generations = _store(models_dir).history(model)
    if as_json:
        typer.echo(json.dumps([json.loads(releases.dumps(one)) for one in generations], indent=2))
        return
    table = [["generation", "at", "stage", "stable", "candidate", "share", "by", "reason"]]
    for one in generations:
        candidate = "-" if one.candidate is None else str(one.candidate)
        table.append(
            [str(one.generation), one.at, one.stage, str(one.stable), candidate, f"{one.share:g}", one.by, one.reason]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _store(models_dir: str) -> "ReleaseStore":
    from signet.serving.releases.store import ReleaseStore

    return ReleaseStore(models_dir)


def _replicas(urls: list[str] | None, model: str, key_file: str, ca_file: str, generation: int = 0) -> "list[Replica]":
    """What those behind some URLs know, once they have read that generation. Raises `UsageError`."""
    if not urls:
        return []
    from signet.clients import releases as asking
    from signet.clients.client import connecting

    return asking.ask_once_read(urls, model, connecting.of_options([], ca_file, "", "", key_file), generation)


def _gate(models_dir: str, there: "Release") -> str | None:
    """Why the gate refuses a candidate, or None."""
    from signet.serving.models import model_store

    if there.candidate is None:
        return None
    if model_store.is_address(models_dir):
        return (
            f"versions in {models_dir} are not checked from here: run `signet release check` on a folder that has them, "
            f"with --keep {models_dir}"
        )
    return release_check.refusal(models_dir, there.model, there.candidate, there.stable)


def _tell(now: "Release") -> None:
    from signet.serving.releases import steps

    typer.echo(f"generation {now.generation}: {steps.described(now)}")


def _limits(options: list[str]) -> dict[str, float]:
    """Raises `UsageError`."""
    from signet.serving.errors import UsageError

    limits = {}
    for option in options:
        name, _, text = option.partition("=")
        try:
            limits[name] = float(text)
        except ValueError:
            raise UsageError(f"--limit is {option[:80]!r}; expected NAME=NUMBER, such as alpha=0.001") from None
    return limits


def _lines(release: "Release") -> list[tuple[str, Any]]:
    """What `status` shows: name and value."""
    lines: list[tuple[str, Any]] = [
        ("stage", release.stage),
        ("stable", release.stable),
        ("candidate", "-" if release.candidate is None else release.candidate),
        ("share", f"{release.share:g}"),
        ("shadow", f"{release.shadow:g}"),
        ("generation", release.generation),
        ("by", release.by or "-"),
        ("at", release.at or "-"),
        ("reason", release.reason or "-"),
    ]
    if release.limits:
        lines.append(("limits", ", ".join(f"{name}={value:g}" for name, value in release.limits.items())))
    if release.unknown:
        names = ", ".join(name[:40] for name in list(release.unknown)[:20])
        lines.append(("not known", f"{names} (kept, and used for nothing by this version of Signet)"))
    return lines


def _gates(there: "Release", check: "Check | None") -> list[tuple[str, Any]]:
    """What `status` shows of the gate: at it, and of what has come there since."""
    if check is not None and (not there.open or check.of(there.candidate, there.stable)):
        return [("gate", check.described())]
    if there.stage != "gate":
        return []
    return [
        (
            "gate",
            f"version {there.candidate} is not checked yet: a server with the engine does, and `signet release promote`, "
            f"or `signet release check {there.model} {there.candidate}`",
        )
    ]


def _seen(there: "Release", replicas: "list[Replica]") -> list[tuple[str, Any]]:
    """What `status` shows of replicas."""
    from signet.serving.releases import replica

    lines: list[tuple[str, Any]] = [("replicas", len(replicas))]
    for one in replicas:
        known = "no release" if one.release is None else f"generation {one.release.generation}"
        lines.append((f"  {one.name}", f"  {known}{f', stopped: {one.stopped}' if one.stopped else ''}"))
    if there.open:
        lines.append(("verdict", replica.verdict(there, replicas).reason))
        lines.append(("promote", replica.objection(there, replicas) or "nothing speaks against it"))
    return lines
