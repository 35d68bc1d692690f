"""Clients are light: no TensorFlow, and gRPC only where it is used."""

import ast
import subprocess
import sys

import pytest

from tests.servers import ROOT


def in_a_new_process(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_clients_never_import_tensorflow():
    paths = sorted((ROOT / "clients").rglob("[!_]*.py"))
    modules = ", ".join(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    assert in_a_new_process(f"import {modules}, sys; print('tensorflow' in sys.modules)") == "False"


def users_of(package: str) -> set[str]:
    """The files of the clients that import a package."""
    users = set()
    for path in (ROOT / "clients").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(f"{name}.".startswith(f"{package}.") for name in names):
                users.add(path.name)
    return users


def test_grpc_is_imported_only_where_it_is_used():
    assert users_of("grpc") == {"grpc_client.py", "grpc_target.py"}


def test_scoring_in_process_alone_imports_the_engine():
    assert users_of("signet.serving.engine") == {"in_process.py"}


def test_json_lines_are_scored_without_pyarrow(embedded_url, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": 1, "x": [1, 2, 3, 4]}\n')
    code = f"""if True:
        import sys
        sys.modules.update(pyarrow=None, fsspec=None, ray=None)
        sys.argv = ["signet", "score", "three_out", "{tmp_path}/in.jsonl", "{tmp_path}/OUT", "--url", "{embedded_url}"]
        import signet.cli
        signet.cli.main()
    """
    printed = in_a_new_process(code.replace("OUT", "out.jsonl"))
    assert printed.startswith("1 rows scored by version 1 of 'three_out'")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        in_a_new_process(code.replace("OUT", "out"))
    assert caught.value.stderr == "signet: writing parquet needs pyarrow: pip install 'signet-serving[score]'\n"


def test_signet_offers_the_clients_when_they_are_asked_for():
    code = """if True:
        import sys
        import signet
        assert "httpx" not in sys.modules
        from signet import AsyncClient, Client
        assert Client.__module__ == AsyncClient.__module__ == "signet.clients.client.http_client"
        assert "tensorflow" not in sys.modules
        assert not hasattr(signet, "nothing")
        print("ok")
    """
    assert in_a_new_process(code) == "ok"


def test_a_call_with_real_answers_imports_no_tensorflow(embedded_url, model_server_address):
    code = f"""if True:
        import sys
        from signet.clients.client.grpc_client import GrpcClient
        from signet import Client
        with Client({embedded_url!r}) as client, GrpcClient({model_server_address!r}) as direct:
            for each in (client, direct):
                print(*each.predict("mixed", {{"s": ["a"]}}, signature="s"))
        print("tensorflow" in sys.modules)
    """
    assert in_a_new_process(code).split("\n") == ["echo echo_bytes len", "echo echo_bytes len", "False"]


CLIENTS = (
    "signet",
    "signet.clients.client.http_client",
    "signet.clients.client.grpc_client",
    "signet.cli",
    "signet.clients.commands",
)
COMMANDS = ("signet.commands.app", "signet.commands.predict", "signet.commands.models")
UNIX = {
    "crypt",
    "fcntl",
    "grp",
    "nis",
    "ossaudiodev",
    "posix",
    "pty",
    "pwd",
    "resource",
    "spwd",
    "syslog",
    "termios",
    "tty",
}
UNIX_NAMES = {
    *("fork", "forkpty", "getgid", "geteuid", "getuid", "killpg", "nice", "sched_getaffinity", "setsid", "mkfifo"),
    *("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE", "SIGALRM", "add_signal_handler"),
}


def walked(*modules: str, inside_functions: bool) -> dict[str, ast.Module]:
    """The project's modules that these import, and so on. inside_functions: also when something is called."""
    found: dict[str, ast.Module] = {}
    left = list(modules)
    while left:
        module = left.pop()
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        path = path if path.exists() else ROOT.joinpath(*module.split("."), "__init__.py")
        if module in found or not module.startswith("signet") or not path.exists():
            continue
        found[module] = ast.parse(path.read_text(), feature_version=(3, 10))
        nodes = list(ast.walk(found[module])) if inside_functions else found[module].body
        for node in nodes:
            left += imported(node)
    return found


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def test_what_clients_run_is_python_3_10_and_knows_nothing_of_unix():
    """macOS and Windows; the syntax is that of 3.10, or it cannot be parsed."""
    modules = walked(*CLIENTS, inside_functions=False) | walked(*COMMANDS, inside_functions=False)
    assert {
        "signet.serving.errors",
        "signet.serving.json_arrays.inputs",
        "signet.serving.tensors.protos",
    } <= modules.keys()
    for module, tree in modules.items():
        packages = {name.partition(".")[0] for node in ast.walk(tree) for name in imported(node)}
        assert not packages & UNIX, module
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & UNIX_NAMES, module


def test_the_http_client_needs_the_base_requirements_alone():
    modules = walked("signet.clients.client.http_client", inside_functions=True)
    packages = {
        name.partition(".")[0] for tree in modules.values() for node in ast.walk(tree) for name in imported(node)
    }
    needed = packages - set(sys.stdlib_module_names) - {"signet"}
    assert needed == {"anyio", "google", "httpcore", "httpx", "ml_dtypes", "numpy", "orjson"}, (
        "httpx brings anyio, httpcore"
    )
