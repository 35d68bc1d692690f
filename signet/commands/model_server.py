"""`signet model-server`: TensorFlow Serving's flags, which the model server reads itself."""

import typer


def model_server(context: typer.Context) -> None:
    """TensorFlow Serving's gRPC API and flags in front of the embedded engine: --port=8500 --model_base_path=…"""
    from signet.serving.model_server.__main__ import main as run

    raise typer.Exit(run(context.args))


def show_help() -> None:
    """The flags, as the model server itself shows them; it gives the exit code of a mistake then, as the original does."""
    from signet.serving.model_server.__main__ import main as run

    run(["--help"])
