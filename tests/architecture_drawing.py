"""Draws which rooms import which, from the code, into docs/architecture.md: `python -m tests.architecture_drawing`.

    imports of every file ──▶ between rooms ──▶ without those that another way implies ──▶ Mermaid, between two marks

A test holds the page to what this would write.
"""

import re
from collections.abc import Iterator

from tests.servers import ROOT
from tests.test_architecture import below, graph

PAGE = ROOT / "docs/architecture.md"
DRAWING = re.compile(r"(?<=<!-- drawing -->\n).*?(?=<!-- end of drawing -->)", re.DOTALL)


def main() -> None:
    PAGE.write_text(DRAWING.sub(lambda _: drawing(), PAGE.read_text()))


def drawing() -> str:
    """The graph as Mermaid text: a box for each folder, an arrow for each import that no way over another room implies."""
    rooms = graph()
    boxes: dict[str, list[str]] = {}
    for name in sorted(rooms):
        boxes.setdefault(box(name), []).append(name)
    lines = ["```mermaid", "flowchart TD"]
    for title, members in boxes.items():
        lines += [f'  subgraph box_{key(title)}["{title}"]', *(f"    {key(name)}[{label(name)}]" for name in members)]
        lines.append("  end")
    lines += [f"  {key(name)} --> {key(other)}" for name, other in arrows(rooms)]
    return "\n".join([*lines, "```", ""])


def arrows(rooms: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    for name in sorted(rooms):
        for other in sorted(rooms[name]):
            if not any(other in below(between, rooms) for between in rooms[name] - {other}):
                yield name, other


def box(name: str) -> str:
    """The folder in which a room is drawn."""
    first, *rest = name.split(".")
    programs = {"serving": ("gateway", "model_server"), "clients": ("client", "score", "load_test")}
    return f"{first}/{rest[0]}/" if rest and rest[0] in programs.get(first, ()) else f"{first or 'signet'}/"


def label(name: str) -> str:
    return name.rpartition(".")[2] or "the command"


def key(name: str) -> str:
    """A name that Mermaid takes."""
    return re.sub(r"\W", "_", name) or "signet"


if __name__ == "__main__":
    main()
