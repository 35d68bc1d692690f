"""The tables in `docs/` that are made from the code: `make docs` writes them, a test holds them to it.

Settings: name, default, docstring ──▶ docs/settings.md         Gateway's registry: name, type, labels, help ──▶ docs/metrics.md
"""

import ast
import inspect
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import CollectorRegistry

from signet.serving.gateway.app import Gateway
from signet.serving.gateway.settings import Settings
from signet.serving.models.model_store import ModelStore
from tests.servers import ROOT

TABLE = re.compile(r"(?<=<!-- made by `make docs` -->\n).*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    for page, text in tables().items():
        path = ROOT / page
        path.write_text(TABLE.sub(lambda _, text=text: text, path.read_text()))  # type: ignore[misc]


def tables() -> dict[str, str]:
    """Page -> the table that belongs into it."""
    return {"docs/settings.md": table(("variable", "default", "meaning"), settings()), "docs/metrics.md": metrics()}


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rows))


def settings() -> Iterator[tuple[str, ...]]:
    said = meanings()
    for name, field in Settings.model_fields.items():
        default = "–" if field.default in (None, "") else f"`{field.default}`"
        yield f"`SIGNET_{name.upper()}`", default, said[name].replace("*", r"\*").replace("|", r"\|")


def meanings() -> dict[str, str]:
    """Field of the settings -> the docstring below it."""
    (declared,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for field, below in zip(declared.body, declared.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def metrics() -> str:
    """The families of a gateway that has keys and follows a store, in the order in which it tells them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").mkdir()
        (keys := Path(folder) / "keys.jsonl").touch(0o600)
        gateway = Gateway(Settings(models_dir=Path(folder) / "models", keys=keys))
        gateway.metrics.watch_store(ModelStore("file:///nowhere", Path(folder)))
        return table(("name", "type", "labels", "tells"), families(gateway.metrics.registry))


def families(registry: CollectorRegistry) -> Iterator[tuple[str, ...]]:
    for collector in list(registry._collector_to_names):
        own = collector._labelnames if isinstance(collector, MetricWrapperBase) else None
        for family in collector.collect():
            labels = own if own is not None else family._labelnames  # type: ignore[attr-defined]
            name = family.name + "_total" * (family.type == "counter")
            yield f"`{name}`", family.type, ", ".join(labels) or "–", family.documentation


if __name__ == "__main__":
    main()
