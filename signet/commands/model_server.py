"""`signet model-server`: TensorFlow Serving's flags, which the model server reads itself."""

import typer


def model_server(context: typer.Context) -> None:
    """TensorFlow Serving's gRPC API and flags in front of the embedded engine: --port=8500 --model_base_path=…"""
    from signet.serving.model_server.__main__ import main as run

    raise typer.Exit(run(context.args))
