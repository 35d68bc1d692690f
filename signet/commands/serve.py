"""`signet serve`: the gateway, in front of models in its own process or of a model server."""

from typing import Any

import typer

from signet.commands.help import Command


class ServeCommand(Command):
    """Its options are the settings, which are read when they are needed: `signet predict` does without them."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options, and --help."""
        if not self.params:
            whole = _with_options()
            self.params, self.callback = list(whole.params), whole.callback
        return super().get_params(ctx)


def serve(**settings: Any) -> None:
    """Answer over HTTP and gRPC: named tensors in and out, a page at /, metrics at /metrics. Ctrl-C drains and stops.

    Each option is also a variable; the option wins.

    signet serve
    signet serve --models-dir s3://bucket/models --processes auto
    signet serve --host 0.0.0.0 --keys keys.jsonl
    signet serve --backend localhost:8500 --models digits,social_posts
    """
    from signet.serving.gateway.settings import read

    chosen = read({name: value for name, value in settings.items() if value is not None})
    if chosen.processes > 1:
        from signet.serving.gateway import processes as parent  # imports neither TensorFlow nor FastAPI

        parent.run(chosen)
    else:
        from signet.serving.gateway import server

        server.run(chosen)


def declared() -> None:
    """What typer reads of `serve` before its options are there."""


declared.__doc__, declared.__name__ = serve.__doc__, serve.__name__


def _with_options() -> Any:
    """`serve` as typer makes a command of it, with an option for each setting."""
    import inspect
    from functools import wraps

    from signet.commands.settings_options import parameters

    @wraps(serve)
    def run(**settings: Any) -> None:
        serve(**settings)

    found = list(parameters())
    run.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]  # a function takes any attribute
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in found}
    app = typer.Typer(add_completion=False)
    app.command()(run)
    return typer.main.get_command(app)
