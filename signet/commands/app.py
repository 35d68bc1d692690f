"""The `signet` command: what its sub-commands are called, in the order of its help."""

from typing import Annotated, Any

import typer

from signet.commands import (
    drift,
    export,
    keys,
    load,
    load_compare,
    model_server,
    models,
    predict,
    release,
    score,
    serve,
    sync_models,
    train,
)
from signet.commands.help import App
from signet.serving.exit_codes import MEANINGS

app = App(epilog="Exit codes\n" + "\n".join(f"{code:d}  {meaning}" for code, meaning in MEANINGS.items()))


def _show_version(wanted: bool) -> None:
    if wanted:
        from signet.serving.release import running_version

        typer.echo(f"signet {running_version()}")
        raise typer.Exit


@app.callback()
def signet(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Keras models with several named inputs and outputs, from training to production.

    signet train digits
    signet serve
    signet models
    signet help predict
    """
    from signet.commands import variables

    for line in variables.unknown(context):
        typer.echo(f"signet: {line}", err=True)


app.command(short_help="Train this project's models and export them")(train.train)
app.command(short_help="Make a served model of any Keras file, and check it")(export.export)
app.command(cls=serve.ServeCommand, short_help="Answer over HTTP and gRPC, with models in here or behind")(
    serve.declared
)
app.add_typer(keys.app, name="keys", short_help="Make, list and revoke the keys of a server")
app.add_typer(release.app, name="release", short_help="Let a new version have traffic step by step")
app.command(
    "model-server",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    short_help="TensorFlow Serving's ports and flags on this engine",
)(model_server.model_server)
app.command(short_help="Copy models from a bucket into a folder")(sync_models.sync_models)
app.command(short_help="Ask a served model once")(predict.predict)
app.command(short_help="Show what is served, with inputs and outputs")(models.models)
app.command(short_help="Score files, each row once, however often it is killed")(score.score)
app.command(short_help="Hold a request log against what a model knows")(drift.drift)
app.command(short_help="Put a served model under load")(load.load)
app.command(short_help="Hold two results of `signet load` against each other")(load_compare.load_compare)


@app.command("help", short_help="Show the help of a command")
def help_(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(help="Such as predict, or keys add.", metavar="COMMAND…")
    ] = None,
) -> None:
    """Show what a command does, its options and examples, as `signet COMMAND --help` does.

    signet help
    signet help keys add
    """
    assert context.parent
    shown: Any = context.parent
    for word in command or []:
        resolve = getattr(shown.command, "resolve_command", None)
        if resolve is None:
            raise typer.BadParameter(f"`{shown.command_path}` has no sub-commands", param_hint="COMMAND…")
        name, found, _ = resolve(shown, [word])
        shown = typer.Context(found, info_name=name, parent=shown, **found.context_settings)
    if shown.command.name == "model-server":
        model_server.show_help()
        return
    typer.echo(shown.get_help())
