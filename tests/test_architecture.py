"""Imports point one way, and TensorFlow stays where it belongs."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.servers import ROOT

SIGNET = ROOT / "signet"

BASE = ["serving"]
TENSORS = [*BASE, "serving.tensors"]
JSON = [*TENSORS, "serving.json_arrays"]
DIALECTS = [*JSON, "serving.rest_dialect", "serving.grpc_dialect"]
MODELS = [*DIALECTS, "serving.models", "serving.process"]
SHARED = [
    *MODELS,
    *("serving.open_inference", "serving.tls", "serving.http", "serving.grpc_transport", "serving.offload"),
    *("serving.tables", "serving.tracing"),
]
GATEWAY = [*SHARED, "serving.gateway.settings", "serving.gateway.observability"]
CORE = [*GATEWAY, "serving.gateway.access", "serving.gateway.core"]
FILES = [
    f"serving.model_server.{name}" for name in ("config_messages", "flags", "listeners", "tensorflow_text", "text_file")
]
PARTS = [f"serving.model_server.{name}" for name in ("monitoring", "reload", "all_processes", "tracing")]
MODEL_SERVER = [*SHARED, "serving.engine", *FILES, *PARTS]
CLIENT = [*SHARED, "clients.client"]
SCORE = [*CLIENT, *(f"clients.score.{name}" for name in ("formats", "storage", "plan"))]
TRAINING = [*MODELS, "training.model", "training.keras_start"]

ALLOWED: dict[str, list[str]] = {
    "serving": [],
    "serving.tensors": BASE,
    "serving.tracing": TENSORS,
    "serving.json_arrays": TENSORS,
    "serving.rest_dialect": JSON,
    "serving.tables": [*JSON, "serving.rest_dialect"],
    "serving.grpc_dialect": TENSORS,
    "serving.process": BASE,
    "serving.tls": [*BASE, "serving.process"],
    "serving.http": [*BASE, "serving.process", "serving.tls"],
    "serving.h2": [*BASE, "serving.process"],
    "serving.grpc_transport": [*BASE, "serving.process", "serving.tls", "serving.h2"],
    "serving.models": [*DIALECTS, "serving.process"],
    "serving.releases": [*BASE, "serving.models", "serving.process"],
    "serving.releases.gate": [*MODELS, "serving.engine"],
    "serving.open_inference": [*JSON, "serving.models"],
    "serving.offload": [*DIALECTS, "serving.open_inference", "serving.tables"],
    "serving.engine": [*TENSORS, "serving.grpc_dialect", "serving.models", "serving.process"],
    # The gateway: protocols and backends meet in the core, and know nothing of each other.
    "serving.gateway.access_choice": [],
    "serving.gateway.settings": [*MODELS, "serving.gateway.access_choice"],
    "serving.gateway.certificates": [*SHARED, "serving.gateway.settings"],
    "serving.gateway.observability": [*MODELS, "serving.tls", "serving.tracing"],
    "serving.gateway.access": [*MODELS, "serving.gateway.settings"],
    "serving.gateway.core": [
        *GATEWAY,
        "serving.gateway.access",
        "serving.gateway.core.shedding",
        "serving.gateway.core.fairness",
    ],
    "serving.gateway.core.fairness": [],
    "serving.gateway.core.shedding": [],
    "serving.gateway.backends": [*CORE, "serving.engine"],
    "serving.gateway.access_log": [*CORE, "serving.gateway.access_choice"],
    "serving.gateway.request_log": CORE,
    "serving.gateway.releases": [*CORE, "serving.releases", "serving.releases.gate", "serving.gateway.http"],
    "serving.gateway.http": CORE,
    "serving.gateway.openapi": [
        *DIALECTS,
        *("serving.models", "serving.open_inference", "serving.releases", "serving.gateway.access"),
        *("serving.gateway.observability", "serving.gateway.core"),
    ],
    "serving.gateway.page": [
        *(*JSON, "serving.rest_dialect", "serving.models", "serving.offload"),
        *(f"serving.gateway.{name}" for name in ("core", "http", "openapi")),
    ],
    "serving.gateway.app": [
        *CORE,
        *(
            f"serving.gateway.{name}"
            for name in ("access_log", "certificates", "releases", "request_log", "backends", "http", "openapi", "page")
        ),
    ],
    "serving.gateway.grpc": CORE,
    "serving.gateway": [
        *CORE,
        "serving.releases",
        *(f"serving.gateway.{name}" for name in ("app", "backends", "certificates", "http", "openapi", "grpc")),
    ],
    # The model server.
    **{key: [*MODELS, *FILES] for key in FILES},
    "serving.model_server.monitoring": [*SHARED, "serving.engine", *FILES],
    "serving.model_server.reload": [*SHARED, "serving.engine", *FILES],
    "serving.model_server.tracing": SHARED,
    "serving.model_server.all_processes": MODEL_SERVER,
    "serving.model_server.tfs_batching": MODEL_SERVER,
    "serving.model_server.services": MODEL_SERVER,
    "serving.model_server.grpc": [*MODEL_SERVER, "serving.model_server.services"],
    "serving.model_server.rest": [*MODEL_SERVER, "serving.model_server.services"],
    "serving.model_server": [
        *MODEL_SERVER,
        *(f"serving.model_server.{name}" for name in ("tfs_batching", "services", "grpc", "rest")),
    ],
    # Clients meet the servers on the wire only; scoring in process alone runs the engine itself.
    "clients.client": [*DIALECTS, "serving.models", "serving.open_inference", "serving.tables"],
    "clients.releases": [*CLIENT, "serving.releases"],
    "clients": CLIENT,
    "clients.score.formats": BASE,
    "clients.score.storage": CLIENT,
    "clients.score.plan": [*CLIENT, "clients.score.formats"],
    "clients.request_log": [*CLIENT, "clients.score.formats", "clients.score.storage"],
    "clients.score.input": SCORE,
    "clients.score.output": [*SCORE, "clients.score.input"],
    "clients.score": [*SCORE, "clients.score.input", "clients.score.output", "clients.request_log", "serving.engine"],
    "clients.drift": [*SCORE, "clients.request_log", "clients.score.input"],
    "clients.load_test.plan": [*CLIENT, "clients.request_log", "clients.score.formats"],
    "clients.load_test.run": [*CLIENT, "clients.load_test.plan"],
    "clients.load_test.report": [*CLIENT, "clients.load_test.plan", "clients.load_test.run"],
    "clients.load_test": [*CLIENT, *(f"clients.load_test.{name}" for name in ("plan", "run", "report"))],
    # Training and serving meet on disk: the SavedModel is the contract.
    "training.model": BASE,
    "training.keras_start": BASE,
    "training.data": TRAINING,
    "training.models": [*TRAINING, "training.data"],
    "training.export": [*TRAINING, "training.models"],
    "training": [*TRAINING, "training.models", "training.data", "training.export"],
}
ALLOWED[""] = list(ALLOWED)  # the command
"""Which room may import which. A file that is named is a room of its own; others belong to their folder."""


def modules() -> dict[str, Path]:
    """Every module of the project by its name below `signet`; the package itself has the name \"\"."""
    found = {}
    for top in (SIGNET, ROOT / "serving", ROOT / "clients", ROOT / "training"):
        for path in top.rglob("*.py"):
            inside = path.relative_to(SIGNET if top == SIGNET else ROOT).with_suffix("").parts
            if top == SIGNET and inside[0] in ("serving", "clients", "training"):
                continue
            found[".".join(inside[:-1] if inside[-1] == "__init__" else inside)] = path
    return found


MODULES = modules()


@cache
def imports(path: Path) -> set[str]:
    """The modules that a file imports, those below `signet` without that word."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name.removeprefix("signet.") in MODULES else str(node.module) for name in whole}
    return {name.removeprefix("signet.") for name in names}


def room(module: str) -> str:
    while module not in ALLOWED:
        module = module.rpartition(".")[0]
    return module


@pytest.mark.parametrize("name", ALLOWED)
def test_a_room_imports_only_what_lies_below_it(name):
    files = {module: path for module, path in MODULES.items() if room(module) == name}
    assert files
    wrong = [
        f"{module} imports {imported}"
        for module, path in files.items()
        for imported in imports(path)
        if imported in MODULES and room(imported) not in {name, *ALLOWED[name]}
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    """What only a type checker imports counts too. An interface lies below what implements it, a chooser above."""
    graph = {module: imports(path) & MODULES.keys() - {module} for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def graph() -> dict[str, set[str]]:
    """Room -> the rooms that files in it import."""
    rooms: dict[str, set[str]] = {room(module): set() for module in MODULES}
    for module, path in MODULES.items():
        rooms[room(module)] |= {room(name) for name in imports(path) if name in MODULES} - {room(module)}
    return rooms


def below(name: str, rooms: dict[str, set[str]]) -> set[str]:
    """Every room that can be reached from one."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = rooms[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_room_imports_itself_in_a_circle():
    TopologicalSorter(graph()).prepare()


def test_nothing_is_imported_by_its_folder_alone():
    """`import serving` would work here, where the folder lies on the path, and nowhere else."""
    files = [*MODULES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]
    assert not [
        f"{path}: {name}" for path in files for name in raw_imports(path) if name in ("clients", "serving", "training")
    ]


def raw_imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, by the name that it says."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return names


def test_only_one_file_of_the_gateway_imports_the_engine():
    users = {
        module
        for module, path in MODULES.items()
        if module.startswith("serving.gateway") and any(name.startswith("serving.engine") for name in imports(path))
    }
    assert users == {"serving.gateway.backends.embedded"}


def in_a_new_process(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "module",
    [
        "signet.serving.tensors.protos",
        "signet.serving.gateway.app",
        "signet.serving.gateway.backends.remote",
        "signet.serving.gateway.backends.embedded",
        "signet.serving.engine.repository",
    ],
)
def test_serving_never_imports_tensorflow(module):
    assert in_a_new_process(f"import {module}, sys; print('tensorflow' in sys.modules)") == "False"


def test_only_the_messages_of_tensorflow_are_loaded_in_remote_mode():
    code = """if True:
        import signet.serving.gateway.backends.remote, sys
        files = [getattr(m, "__file__", None) for name, m in sys.modules.items() if name.startswith("tensorflow.")]
        print(*filter(None, files))
    """
    files = [Path(file).name for file in in_a_new_process(code).split()]
    assert files
    assert all(name.endswith("_pb2.py") or name == "__init__.py" for name in files), files


@pytest.mark.parametrize(
    "order", ["import signet.serving.tensors.protos; start()", "start(); import signet.serving.tensors.protos"]
)
def test_tensorflow_itself_can_be_imported_before_and_after(order):
    """`start` imports it, the quick way."""
    code = f"from signet.training.keras_start import start\n{order}\nimport tensorflow as tf\nprint(tf.constant(2).numpy())"
    assert in_a_new_process(code) == "2"
