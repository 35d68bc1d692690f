"""The `signet` command: what its sub-commands are called, in the order of its help."""

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

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keras models with several named inputs and outputs, from training to production.",
)
app.command()(train.train)
app.command()(export.export)
app.command()(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(release.app, name="release")
app.command(
    "model-server", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(model_server.model_server)
app.command()(sync_models.sync_models)
app.command()(predict.predict)
app.command()(models.models)
app.command()(score.score)
app.command()(drift.drift)
app.command()(load.load)
app.command()(load_compare.load_compare)
