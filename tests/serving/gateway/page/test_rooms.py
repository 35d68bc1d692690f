"""Imports of the page's modules point one way, from views to the core, and name files that are there."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

from tests.servers import ROOT

STATIC = ROOT / "serving/gateway/page/static"

ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "form": {"core"},
    "answer": {"core"},
    "card": {"core"},
    "release": {"core"},
    "live": {"core"},
    "api": {"core"},
    "models": {"core", "card", "release"},
    "model/try": {"core", "form", "answer"},
    "model/compare": {"core", "form", "answer", "card"},
    "model/table": {"core", "answer"},
    "model/about": {"core", "card", "release"},
    "model": {"core", "card", "release", "model/try", "model/compare", "model/table", "model/about"},
    "page.js": {"core", "live", "model", "models"},
}
"""Which room may import which. A room is a folder; those of the tabs of a model are rooms of their own."""

IMPORT = re.compile(r'^(?:import|export) [^;]*?from "([^"]+)";|^import "([^"]+)";', re.MULTILINE)


def room(path: Path) -> str:
    parts = path.relative_to(STATIC).parts
    return "/".join(parts[: 2 if parts[0] == "model" and len(parts) > 2 else 1])


def imports() -> list[tuple[Path, Path]]:
    """Which module imports which."""
    found = []
    for module in STATIC.rglob("*.js"):
        for match in IMPORT.finditer(module.read_text()):
            found.append((module, (module.parent / (match[1] or match[2])).resolve()))
    return found


def test_each_import_names_a_module_that_its_room_may_use():
    known = imports()
    assert len(known) > 150
    assert [f"{a}: {b}" for a, b in known if not b.is_file()] == []
    crossing = {(room(a), room(b)) for a, b in known if room(a) != room(b)}
    assert sorted((a, b) for a, b in crossing if b not in ALLOWED[a]) == []
    assert sorted((a, b) for a, allowed in ALLOWED.items() for b in allowed if (a, b) not in crossing) == []


def test_no_module_imports_itself_by_way_of_others():
    graph: dict[Path, set[Path]] = {}
    for a, b in imports():
        graph.setdefault(a, set()).add(b)
    assert len(list(TopologicalSorter(graph).static_order())) > 80
