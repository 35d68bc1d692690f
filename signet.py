"""The `signet` command: one app; a sub-command's code is imported only when it is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keras models with several named inputs and outputs, from training to production.",
)


@app.command()
def train(
    names: Annotated[
        list[str],
        typer.Argument(help="digits, question_answering, social_posts, or all.", metavar="NAME…"),
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="quick: under a minute of processor time a model; full: up to 30 minutes, for better figures."
        ),
    ] = "quick",
    models_dir: Annotated[
        Path, typer.Option(help="Each export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models"),
    seed: Annotated[
        int,
        typer.Option(
            help="Of the first weights, the order of rows and generated data. Same seed and machine, same weights."
        ),
    ] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data, at least 1. Default: the preset's.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Learn from this instead of generated data. question_answering: a bAbI file or a folder of them; "
            "social_posts: a CSV, JSONL or Parquet file with the columns posts, age, income (0 to 9), gender.",
            show_default=False,
        ),
    ] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Leave out models that have a version.")] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Checkpoints, from which a killed training goes on. Default: .training beside MODELS_DIR."),
    ] = None,
) -> None:
    """Train models, judge them by held-out rows, and export them as SavedModels that were checked.

    Shows the epoch, the loss and the time left; ends with a table of what was reached. Ctrl-C stops and exports
    nothing half-done; the same command then goes on from the last whole epoch.
    """
    from training.train import train as run

    run(
        names,
        preset=preset,
        models_dir=models_dir,
        seed=seed,
        epochs=epochs,
        data=data,
        if_missing=if_missing,
        work_dir=work_dir,
    )


@app.command()
def serve(
    models_dir: Annotated[
        Path | None, typer.Option(help="Folder of models, MODEL/VERSION/saved_model.pb; default: models.")
    ] = None,
    model_config_file: Annotated[
        Path | None, typer.Option(help="TensorFlow Serving's model config file, instead of a folder of models.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="HOST:PORT[,HOST:PORT…] of TensorFlow Serving's gRPC port; without it models run in here."),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Models that the backend serves, separated by commas.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in. [default: 127.0.0.1]")
    ] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the HTTP API; 0: a free one. [default: 8080]")] = None,
    request_timeout_s: Annotated[
        float | None, typer.Option(help="Seconds a request may take before it gets 504. [default: 30]")
    ] = None,
    batch_max_rows: Annotated[
        int | None, typer.Option(help="Most rows joined into one call; 1: no joining. [default: 64]")
    ] = None,
    allow_missing: Annotated[
        bool | None, typer.Option(help="Start although a model has no good version; /readyz says no meanwhile.")
    ] = None,
    drain_s: Annotated[
        float | None, typer.Option(help="Seconds to go on answering after SIGTERM with /readyz at 503. [default: 0]")
    ] = None,
) -> None:
    """Serve models over HTTP: JSON in, named tensors behind, Prometheus metrics. Ctrl-C drains and stops.

    Each option is also a variable SIGNET_NAME, such as SIGNET_HTTP_PORT; the option wins. More of them: README.
    """
    from serving.gateway import server, settings

    given = {name: value for name, value in locals().items() if name in settings.Settings.model_fields}
    server.run(settings.read({name: value for name, value in given.items() if value is not None}))


@app.command(
    "model-server", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def model_server(context: typer.Context) -> None:
    """TensorFlow Serving's gRPC API and flags in front of the embedded engine: --port=8500 --model_base_path=…"""
    from serving.model_server.__main__ import main as run

    raise typer.Exit(run(context.args))


def main() -> None:
    """Entry point of the `signet` script: a mistake of the user's is one sentence, not a traceback."""
    from serving.errors import SignetError

    try:
        app()
    except SignetError as error:
        typer.echo(f"signet: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
