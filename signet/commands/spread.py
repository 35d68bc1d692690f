"""Commands that take dataclasses: each field with an `Option` beside it becomes an option of the command line.

@spread
def train(options: TrainOptions)      ──▶ --preset TEXT --models-dir PATH --seed INTEGER …
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, Literal, get_type_hints

import typer

from signet.commands import completing
from signet.serving.options import Option


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field in place of each dataclass that it takes; typer reads its signature."""
    own = inspect.signature(command).parameters.values()
    groups = {parameter.name: list(_options(parameter.annotation)) for parameter in own}
    parameters = [new for parameter in own for new in groups[parameter.name] or [_option(parameter)]]

    @wraps(command)
    def run(**given: Any) -> None:
        for parameter in own:
            if options := groups[parameter.name]:
                words = {option.name: given.pop(option.name) for option in options}
                given[parameter.name] = parameter.annotation(
                    **{name: word for name, word in words.items() if word is not None}
                )
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # a function takes any attribute
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options(group: Any) -> Iterator[inspect.Parameter]:
    """A parameter for each field with an `Option`; none if that is no dataclass."""
    if not is_dataclass(group):
        return
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        if any(isinstance(option, Option) for option in getattr(hints[field.name], "__metadata__", ())):
            yield _option(inspect.Parameter(field.name, _KIND, default=_default(field), annotation=hints[field.name]))


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is MISSING else field.default


def _option(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter as typer reads it."""
    for option in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(option, Option):
            kind: Any = parameter.annotation.__origin__
            if option.choices:
                kind = Literal[tuple(option.choices)]
                if not parameter.default:  # a text that is empty stands for what the command finds itself
                    kind, parameter = kind | None, parameter.replace(default=None)
            parameter = parameter.replace(annotation=Annotated[kind, _info(option, parameter, kind)])
    return parameter.replace(kind=_KIND)


_KIND = inspect.Parameter.KEYWORD_ONLY  # those without a default may then follow those with one


def _info(option: Option, parameter: inspect.Parameter, kind: Any) -> Any:
    shown: dict[str, Any] = {
        "help": option.help,
        "metavar": option.metavar,
        "envvar": option.variable,
        "rich_help_panel": option.section or None,
        "autocompletion": getattr(completing, option.complete) if option.complete else None,
        "show_default": parameter.default not in (None, "", []),  # those stand for something that the help tells
    }
    if option.is_argument:
        return typer.Argument(**shown)
    flag = option.flag or (f"--{parameter.name.replace('_', '-')}" if kind is bool else "")  # or typer adds --no-NAME
    if option.also:
        flag = flag or f"--{parameter.name.replace('_', '-')}"
    return typer.Option(*filter(None, [flag, option.also]), min=option.min, max=option.max, **shown)
