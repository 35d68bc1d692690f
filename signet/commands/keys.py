"""`signet keys`: who may ask a gateway: the file of `signet serve --keys` is written and shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signet.commands.help import App

if TYPE_CHECKING:
    from datetime import datetime

    from signet.serving.gateway.access.key_file import Key

app = App()

File = Annotated[Path, typer.Option(help="The file of keys.", envvar="SIGNET_KEYS")]
DEFAULT = Path("keys.jsonl")


@app.callback()
def keys() -> None:
    """Say who may ask: make, list and revoke the keys of `signet serve --keys FILE`.

    A running server follows the file. It holds hashes of the keys, not the keys: a key is shown once, when it is made.

    signet keys add mobile > mobile.key
    signet serve --host 0.0.0.0 --keys keys.jsonl
    signet models --key-file mobile.key
    """


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What logs and metrics call it.", metavar="NAME")],
    models: Annotated[
        str, typer.Option(help="The models that it may ask, separated by commas; *: all, also those to come.")
    ] = "*",
    requests_per_s: Annotated[
        float | None, typer.Option(help="Most requests a second. [default: no limit]", show_default=False)
    ] = None,
    rows_per_s: Annotated[
        float | None, typer.Option(help="Most rows a second. [default: no limit]", show_default=False)
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="When it ends: 2027-01-31, 2027-01-31T12:00:00Z, or in 90d, 12h. [default: never]", show_default=False
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="It may also read /metrics and what else is for those who run the service.")
    ] = False,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where there is a file of keys already: for a first start.")
    ] = False,
    file: File = DEFAULT,
) -> None:
    """Make a key and print it, once: standard output has nothing else, so that it can go where it is needed.

    signet keys add mobile --expires 90d > mobile.key
    signet keys add batch --models digits --requests-per-s 50 > batch.key
    signet keys add prometheus --admin > admin.key
    """
    from signet.serving.errors import UsageError
    from signet.serving.gateway.access import key_file, tokens

    if if_missing and file.exists():
        typer.echo(f"{file} is there already: nothing is changed.", err=True)
        return
    if models.strip() != "*" and not all(part.strip() for part in models.split(",")):
        raise UsageError(f"--models is {models!r}; expected names with commas between, or *")
    created = tokens.create()
    key = key_file.add(
        file,
        created,
        name=name,
        models="*" if models.strip() == "*" else [part.strip() for part in models.split(",")],
        requests_per_s=requests_per_s,
        rows_per_s=rows_per_s,
        expires=None if expires is None else key_file.written(_expiry(expires)),
        admin=admin or None,
    )
    typer.echo(created.token)
    typer.echo(f"{file} has the key {key.name!r} now; this is the only time that it is shown.", err=True)


@app.command("list")
def list_(
    file: File = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show the keys: names, models, limits, expiry. Neither the keys nor their hashes are shown.

    signet keys list
    signet keys list --json
    """
    import json

    from signet.serving.gateway.access import key_file

    lines = [_line(key) for key in key_file.read(file)]
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    table = [["name", "models", "requests/s", "rows/s", "expires", "admin", "state"]]
    for line in lines:
        models = line["models"]
        table.append(
            [
                *(line["name"], models if isinstance(models, str) else ",".join(models)),
                *("-" if line[rate] is None else f"{line[rate]:g}" for rate in ("requests_per_s", "rows_per_s")),
                *(line["expires"] or "never", "yes" if line["admin"] else "no", line["state"]),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key, as `signet keys list` calls it.", metavar="NAME")],
    file: File = DEFAULT,
) -> None:
    """Take a key back: servers refuse it as soon as they have seen the change, on connections that there are as well.

    signet keys revoke mobile
    """
    from signet.serving.gateway.access import key_file

    key_file.revoke(file, name)
    typer.echo(f"{file} has no key {name!r} any more.", err=True)


def _line(key: "Key") -> dict[str, Any]:
    from datetime import UTC, datetime

    from signet.serving.gateway.access import key_file

    return {
        "name": key.name,
        "models": "*" if key.models is None else sorted(key.models),
        "requests_per_s": key.requests_per_s,
        "rows_per_s": key.rows_per_s,
        "expires": key.expires and key_file.written(key.expires),
        "admin": key.admin,
        "state": "expired" if key.expires and key.expires <= datetime.now(UTC) else "valid",
    }


def _expiry(text: str) -> "datetime":
    """The time that an option says: one that is to come. Raises `UsageError`."""
    from datetime import UTC, datetime, timedelta

    from signet.serving.errors import UsageError
    from signet.serving.gateway.access import key_file

    now = datetime.now(UTC)
    number, unit = text[:-1], text[-1:]
    try:
        if number.isascii() and number.isdigit() and unit in ("d", "h"):
            expires = now + (timedelta(days=int(number)) if unit == "d" else timedelta(hours=int(number)))
        else:
            expires = key_file.moment(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--expires is {text[:80]!r}; expected 2027-01-31, 2027-01-31T12:00:00Z, or such as 90d or 12h"
        ) from None
    if expires <= now:
        raise UsageError(f"--expires is {text[:80]!r}, which is over")
    return expires
