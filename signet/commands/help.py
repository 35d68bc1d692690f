"""What `--help` and `-h` look like: whole sentences at any width, options in sections, examples to copy, no boxes.

    docstring, Option(section=…) ──Command──▶ Usage, text, Arguments, Options, a section each, Examples

A paragraph of a docstring whose lines begin with `signet ` holds examples: it is shown last, line by line as it is.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
"""Help is as wide as the terminal, up to where lines are hard to read."""
_OPTIONS = "Options"
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command."""

    def get_help_option_names(self, ctx: Any) -> list[str]:
        """The short one first; click has them in a set."""
        return sorted(super().get_help_option_names(ctx), key=len)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] MODEL [VERSION]`."""
        return _usage(self, ctx)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The docstring without its examples."""
        _write_text(self.help, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options, section by section in the order in which they are declared."""
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _write_examples(self.help, formatter)


class Group(TyperGroup):
    """Several commands below one word."""

    def get_help_option_names(self, ctx: Any) -> list[str]:
        """The short one first; click has them in a set."""
        return sorted(super().get_help_option_names(ctx), key=len)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of their registration; typer puts groups last, which `help` is here."""
        return sorted(super().list_commands(ctx), key="help".__eq__)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] COMMAND …`."""
        return [*_usage(self, ctx), "COMMAND …"]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The docstring without its examples."""
        _write_text(self.help, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands, which one looks for first, then the options."""
        self.format_commands(ctx, formatter)
        _write_parameters(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with what it does, in as many lines as that takes."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first_sentence(command)) for name, command in named if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, and what else the command has to say at its end."""
        _write_examples(self.help, formatter)
        if self.epilog:
            title, *lines = inspect.cleandoc(self.epilog).splitlines()
            with formatter.section(title):
                formatter.write_dl([tuple(line.split("  ", 1)) for line in lines])


class App(typer.Typer):
    """Commands whose help looks like that."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            **{
                "cls": Group,
                "no_args_is_help": True,
                "rich_markup_mode": None,
                "pretty_exceptions_enable": False,
                "context_settings": CONTEXT,
                **settings,
            }
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Function], _Function]:
        """As typer's, with our help."""
        return super().command(name, **{"cls": Command, **settings})


def _usage(command: Any, ctx: Any) -> list[str]:
    pieces = ["[OPTIONS]"] if command.options_metavar else []
    for parameter in command.get_params(ctx):
        if parameter.param_type_name == "argument" and not parameter.hidden:
            pieces.append(_called(parameter) if parameter.required else f"[{_called(parameter)}]")
    return pieces


def _called(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _write_text(text: str | None, formatter: Any) -> None:
    for paragraph in _paragraphs(text):
        if not _is_example(paragraph):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(paragraph)


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], _OPTIONS: []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            sections["Arguments"].append((_called(parameter), _one_bracket(record[1])))
        else:
            section = getattr(parameter, "rich_help_panel", None) or _OPTIONS
            name = record[0].replace(" range>", ">")
            sections.setdefault(section, []).append((name, _one_bracket(record[1])))
    sections[_OPTIONS] = sections.pop(_OPTIONS) if len(sections[_OPTIONS]) == 1 else sections[_OPTIONS]  # --help alone
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _one_bracket(text: str) -> str:
    """`Why. [default: x]  [env var: Y]` -> `Why. [default: x; env: Y]`."""
    text = text.replace("[env var: ", "[env: ")
    return re.sub(r"\]\s+\[", "; ", text)


def _write_examples(text: str | None, formatter: Any) -> None:
    lines = [line for paragraph in _paragraphs(text) if _is_example(paragraph) for line in paragraph.splitlines()]
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"  {line.strip()}\n")


def _paragraphs(text: str | None) -> list[str]:
    return re.split(r"\n\s*\n", inspect.cleandoc(text)) if text else []


def _is_example(paragraph: str) -> bool:
    return bool(re.match(r"(?:[^\n]*\| )?signet ", paragraph.lstrip()))


def _first_sentence(command: Any) -> str:
    """What a list of commands says of one."""
    if command.short_help:
        return str(command.short_help)
    first = " ".join(_paragraphs(command.help)[0].split()) if command.help else ""
    return re.split(r"(?<=\.)\s|: ", first, maxsplit=1)[0].rstrip(".")
