"""Build the images, run them as production would, and say what is true of them: `make images-check`.

    build ──▶ configuration, contents, size ──▶ model server ◀──gRPC── gateway ◀── predictions
                                                                          └── ready, health, memory, metrics, SIGTERM

By podman containers run as compose.yaml runs them: read-only root, no capability, no new privileges, not as root; on the
host's network. By buildah, in a changed root, the first three cannot be seen. The predictions are requests that a real
TensorFlow Serving answered, with its answers (tests/golden).

Needs podman with runc or crun (Debian: `apt-get install podman runc`), or buildah; and the base image, here or in a
registry. Exit code 0: every check holds. Images stay, containers do not.
"""

import argparse
import http.client
import json
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from container_engines import Container, Engine, Failed, choose

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
GOLDEN = ROOT / "tests" / "golden"
MODELS = ("two_in", "three_out")
SITE = "/opt/signet/lib/python3.11/site-packages"
DIFFERENT = {"duplicate_input_key"}
"""Recorded requests that the gateway means to answer in another way: of two equal keys it takes the last."""
LAYERS_MB = 130
"""What our layers of the gateway's image may add to its base."""
READY_S = 2.0
"""Seconds of processor time from a gateway's start to /readyz: on an idle machine, nearly all there is."""
RESIDENT_MB = 120
"""Memory a gateway in remote mode may hold."""
LIMIT_S = 60.0
"""Seconds after which waiting is a failure."""


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(description="Build the images and run them as production would.")
    parser.add_argument("base", nargs="?", default="docker.io/library/python:3.11-slim-bookworm", help="base image")
    parser.add_argument(
        "--only", choices=["gateway"], help="leave out model-server: this checkout's own takes its place"
    )
    parser.add_argument("--training", action="store_true", help="build training too, and train in it (gigabytes)")
    parser.add_argument("--engine", choices=["podman", "buildah"], help="default: the one that is here, podman first")
    parser.add_argument("--pip-conf", type=Path, help="pip configuration for the build; it stays out of the images")
    options = parser.parse_args()
    targets = ["gateway", *([] if options.only else ["model-server"]), *(["training"] if options.training else [])]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the images' user reads it
        try:
            engine = choose(options.engine)
            for target in targets:
                build(engine, target, options.base, options.pip_conf)
                check_configuration(engine, target)
                check_size(engine, target, options.base)
            check_contents(engine)
            ports = _free_ports(3)
            server = stack.enter_context(model_server(engine if "model-server" in targets else None, folder, ports[0]))
            check_gateway(stack, engine, backend=f"127.0.0.1:{ports[0]}", port=ports[1])
            if server:
                check_stop("model-server", server)
                check_embedded(stack, engine, ports[2])
            if options.training:
                check_training(engine, folder)
        except Failed as failure:
            print(f"FAIL  {failure}")
            return 1
    print("All checks hold.")
    return 0


# ---- Images


def build(engine: Engine, target: str, base: str, pip_conf: Path | None) -> None:
    """One target of the Dockerfile."""
    started = time.monotonic()
    engine.build(target, base, pip_conf, ROOT)
    said(f"signet-{target} builds on {base}", f"{time.monotonic() - started:.0f} s")


def check_configuration(engine: Engine, target: str) -> None:
    """User, entry point, labels and health check, as an engine reads them."""
    settings = engine.configuration(f"signet-{target}")
    entrypoint = {"gateway": ["signet", "serve"], "model-server": ["signet", "model-server"], "training": ["signet"]}
    holds(settings["User"] == "10001:10001", f"{target} runs as user {settings['User']}")
    holds(settings["Entrypoint"] == entrypoint[target], f"{target} starts {settings['Entrypoint']}, without a shell")
    version = settings["Labels"]["org.opencontainers.image.version"]
    holds(version == VERSION, f"{target} is labelled as version {version}")
    health = settings["Healthcheck"]["Test"]
    holds((health == ["NONE"]) == (target == "training"), f"{target} has the health check {health[:3]}")


def check_size(engine: Engine, target: str, base: str) -> None:
    """Tells the sizes, uncompressed: what the base has and what our layers add."""
    below = engine.size_bytes(base)
    ours = engine.size_bytes(f"signet-{target}") - below
    sizes = f"base {below / 1e6:.0f} MB, our layers {ours / 1e6:.0f} MB"
    if target == "gateway":
        holds(ours < LAYERS_MB * 1e6, f"{target}: {sizes}; at most {LAYERS_MB}")
    else:
        said(f"{target}: {sizes}")


def check_contents(engine: Engine) -> None:
    """No TensorFlow in the gateway's image but message files."""
    find = ["find", "/opt", "/usr", "(", "-path", "*/tensorflow*/*", "-o", "-name", "libtensorflow*", ")", "-type", "f"]
    files = engine.output("signet-gateway", *find).split()
    other = [file for file in files if not re.search(r"(_pb2|_pb2_grpc|__init__)(\.cpython-311)?\.pyc?$", file)]
    holds(not other, f"gateway holds {len(files)} files of TensorFlow, all of them messages {other[:3] or ''}")
    pip = engine.output("signet-gateway", "find", SITE, "-maxdepth", "1", "-name", "pip*")
    holds(not pip, "gateway's environment holds no pip")


# ---- Containers


@contextmanager
def running(container: Container) -> Iterator[Container]:
    """A container, removed in the end; what it printed is shown when a check fails."""
    try:
        yield container
    except Failed:
        print(container.logs()[-2000:])
        raise
    finally:
        container.remove()


@contextmanager
def model_server(engine: Engine | None, folder: Path, port: int) -> Iterator[Container | None]:
    """`signet model-server` with the golden models, listening; without an engine, this checkout's own."""
    config = folder / "models.config"
    models = "/models" if engine else str(GOLDEN / "models")
    entries = [
        f'config {{ name: "{name}" base_path: "{models}/{name}" model_platform: "tensorflow" }}' for name in MODELS
    ]
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    started = time.monotonic()
    if engine:
        flags = [f"--port={port}", "--model_config_file=/etc/tf-serving/models.config"]
        mounts = {GOLDEN / "models": "/models", folder: "/etc/tf-serving"}
        with running(engine.start("signet-model-server", flags, mounts=mounts)) as container:
            _until(lambda: _listens(port), "the model server listens")
            holds(_process(container.pid)["Uid"].split()[0] == "10001", "model-server: its process is not root")
            resident = _resident_mb(container.pid)
            said("model-server listens", f"{time.monotonic() - started:.1f} s, {resident:.0f} MB resident")
            yield container
        return
    command = [
        sys.executable,
        "-m",
        "signet",
        "model-server",
        f"--port={port}",
        f"--model_config_file={config}",
    ]
    log = folder / "model-server.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:  # noqa: S603
        try:
            _until(lambda: _listens(port) or process.poll() is not None, "the model server listens")
            if process.poll() is not None:
                raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
            yield None
        finally:
            process.terminate()


def check_stop(what: str, container: Container) -> None:
    """SIGTERM ends it well."""
    started = time.monotonic()
    code = container.stop()
    holds(code == 0, f"{what}: exit code {code}, {time.monotonic() - started:.1f} s after SIGTERM")


def check_embedded(stack: ExitStack, engine: Engine, port: int) -> None:
    """The model server's image runs `signet serve` too, with the models in the process."""
    variables = {"SIGNET_MODELS_DIR": "/models", "SIGNET_HTTP_PORT": str(port), "SIGNET_GRPC_PORT": "0"}
    mounts = {GOLDEN / "models": "/models"}
    started = engine.start("signet-model-server", variables=variables, mounts=mounts, entrypoint=["signet", "serve"])
    container = stack.enter_context(running(started))
    _until(lambda: _get(port, "/readyz")[0] == 200, "/readyz answers 200")
    same = check_predictions(port)
    said(f"model-server as gateway: {same} recorded requests get the answers of TensorFlow Serving")
    check_stop("model-server as gateway", container)


def check_gateway(stack: ExitStack, engine: Engine, backend: str, port: int) -> None:
    """From its start to its end."""
    variables = {
        "SIGNET_BACKEND": backend,
        "SIGNET_MODELS": ",".join(MODELS),
        "SIGNET_HTTP_PORT": str(port),
        "SIGNET_GRPC_PORT": "0",
        "SIGNET_DRAIN_S": "1",
    }
    started = time.monotonic()
    container = stack.enter_context(running(engine.start("signet-gateway", variables=variables)))
    _until(lambda: _get(port, "/readyz")[0] == 200, "/readyz answers 200")
    seconds, busy = time.monotonic() - started, _processor_s(container.pid)
    holds(
        busy < READY_S,
        f"gateway: ready after {seconds:.1f} s, {busy:.2f} of them the processor's; at most {READY_S:.0f}",
    )
    status = _process(container.pid)
    holds(status["Uid"].split() == ["10001"] * 4, f"gateway: its process, {status['Name']}, is not root")
    if engine.isolates:
        holds(status["NSpid"].split()[-1] == "1", "gateway: it is process 1")
        nothing = int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"
        holds(nothing, "gateway: no capability, no new privileges")
        root = next(line.split() for line in _kernel(container.pid, "mountinfo") if line.split()[4] == "/")
        holds("ro" in root[5].split(","), "gateway: its root is read-only")
    holds(container.is_healthy(), "gateway: the health check says healthy")

    same = check_predictions(port)
    said(f"gateway: {same} recorded requests get the answers of TensorFlow Serving")
    metrics = _get(port, "/metrics")[1]
    counted = sum(
        float(value) for value in re.findall(r'^signet_requests_total\{.*code="OK".*\} (\S+)$', metrics, re.M)
    )
    holds(counted == same, f"gateway: /metrics counts {counted:.0f} requests with OK")
    resident = _resident_mb(container.pid)
    holds(resident < RESIDENT_MB, f"gateway: {resident:.0f} MB resident; at most {RESIDENT_MB}")
    check_drain(container, port)


def check_predictions(port: int) -> int:
    """Replay what TensorFlow Serving answered with 200; gives how many."""
    cases = json.loads((GOLDEN / "tfserving" / "rest.json").read_text())["cases"]
    path = re.compile(rf"/v1/models/({'|'.join(MODELS)})(/versions/1)?:predict")
    replayed = 0
    for case in cases:
        request, response = case["request"], case["response"]
        if response["status"] != 200 or "body" not in request or not path.fullmatch(request["path"]):
            continue  # errors and compressed bodies are for tests/serving
        if case["name"] in DIFFERENT:
            continue
        status, body = _get(port, request["path"], request["body"])
        if status != 200 or not _alike(json.loads(body), json.loads(response["body"])):
            raise Failed(f"gateway: {case['name']} got {status} {body[:200]}; expected {response['body'][:200]}")
        replayed += 1
    holds(replayed > 5, f"{replayed} recorded requests are about {', '.join(MODELS)}")
    return replayed


def check_drain(container: Container, port: int) -> None:
    """Callers who leave when /readyz says no, as load balancers do, lose no request to a stop."""
    body = json.dumps({"instances": [{"a": [1, 2, 3], "b": [4, 5]}]})
    answers: list[int] = []

    def call() -> None:
        while _get(port, "/readyz")[0] == 200:
            answers.append(_get(port, "/v1/models/two_in:predict", body)[0])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    _until(lambda: len(answers) > 100, "a hundred answers")
    before = len(answers)
    started = time.monotonic()
    code = container.stop()
    seconds = time.monotonic() - started
    for caller in callers:
        caller.join(LIMIT_S)
    wrong = sorted({status for status in answers if status != 200})
    holds(code == 0, f"gateway: exit code {code}, {seconds:.1f} s after SIGTERM, of which 1 s of drain")
    holds(not wrong, f"gateway: {before} requests before SIGTERM, {len(answers) - before} after it, failed: {wrong}")


def check_training(engine: Engine, folder: Path) -> None:
    """A model trained in the container lies on the host."""
    work = folder / "work"
    work.mkdir()
    work.chmod(0o777)
    arguments = ["train", "digits", "--preset", "quick", "--epochs", "1"]
    with running(engine.start("signet-training", arguments, mounts={work: "/work"}, writable=True)) as container:
        code = container.wait()
        made = [str(path.relative_to(work)) for path in work.glob("models/digits/1/saved_model.pb")]
        holds(code == 0 and bool(made), f"training: exit code {code}, made {made}")


# ---- Processes, HTTP, and telling


def said(fact: str, detail: str = "") -> None:
    """A line of the report."""
    print(f"ok    {fact}{f' ({detail})' if detail else ''}", flush=True)


def holds(true: bool, fact: str) -> None:
    """A line of the report, or its end."""
    if not true:
        raise Failed(fact)
    said(fact)


def _kernel(pid: int, file: str) -> list[str]:
    return Path("/proc", str(pid), file).read_text().splitlines()


def _process(pid: int) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in _kernel(pid, "status"))}


def _processor_s(pid: int) -> float:
    user, system = _kernel(pid, "stat")[0].rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    return int(_process(pid)["VmRSS"].split()[0]) * 1024 / 1e6


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _get(port: int, path: str, body: str | None = None) -> tuple[int, str]:
    """Status and body; 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET" if body is None else "POST", path, body and body.encode())
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def _until(condition: Any, event: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{event}: not within {LIMIT_S:.0f} s")
        time.sleep(0.02)


def _alike(one: Any, other: Any) -> bool:
    """Equal JSON, but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


if __name__ == "__main__":
    sys.exit(main())
