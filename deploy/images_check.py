"""Build the images, run them as production would, and say what is true of them: `make images-check`.

    build ──▶ configuration, contents, size ──▶ model server ◀──gRPC── gateway ◀── predictions
                                                                          └── ready, health, memory, metrics, SIGTERM

Containers run as compose.yaml runs them: read-only root, no capability, no new privileges, not as root; on the host's
network. The predictions are requests that a real TensorFlow Serving answered, with its answers (tests/golden).

Needs podman with runc or crun (Debian: `apt-get install podman runc`), which builds with buildah's code, and the base
image, here or in a registry. Exit code 0: every check holds. Images stay, containers do not.
"""

import argparse
import http.client
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
MODELS = ("two_in", "three_out")
SITE = "/opt/signet/lib/python3.11/site-packages"
HARDENED = (
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
    "--ulimit=nofile=4096:4096",  # podman's own wish, a million, is more than some machines grant
    "--ulimit=nproc=4096:4096",
)
DIFFERENT = {"duplicate_input_key"}
"""Recorded requests that the gateway means to answer in another way: of two equal keys it takes the last."""
READY_S = 2.0
"""Seconds of processor time from a gateway's start to /readyz: on an idle machine, nearly all there is."""
RESIDENT_MB = 120
"""Memory a gateway in remote mode may hold."""
LIMIT_S = 60.0
"""Seconds after which waiting is a failure."""


class Failed(Exception):
    """A check that does not hold; or a command that ended badly, with its last words."""


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(description="Build the images and run them as production would.")
    parser.add_argument("base", nargs="?", default="docker.io/library/python:3.11-slim-bookworm", help="base image")
    parser.add_argument(
        "--only", choices=["gateway"], help="leave out model-server: this checkout's own takes its place"
    )
    parser.add_argument("--training", action="store_true", help="build training too, and train in it (gigabytes)")
    parser.add_argument("--pip-conf", type=Path, help="pip configuration for the build; it stays out of the images")
    options = parser.parse_args()
    if not shutil.which("podman"):
        print("images-check needs podman: apt-get install podman runc", file=sys.stderr)
        return 1
    targets = ["gateway", *([] if options.only else ["model-server"]), *(["training"] if options.training else [])]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
        try:
            for target in targets:
                build(target, options.base, options.pip_conf)
                check_configuration(target)
                check_size(target, options.base)
            check_contents()
            ports = _free_ports(2)
            server = model_server(folder, ports[0], in_container="model-server" in targets)
            stack.enter_context(server)
            check_gateway(stack, backend=f"127.0.0.1:{ports[0]}", port=ports[1])
            server_stop_check(in_container="model-server" in targets)
            if options.training:
                check_training(folder)
        except Failed as failure:
            print(f"FAIL  {failure}")
            return 1
    print("All checks hold.")
    return 0


# ---- Images


def build(target: str, base: str, pip_conf: Path | None) -> None:
    """One target of the Dockerfile. The docker format keeps HEALTHCHECK, which the default one drops."""
    started = time.monotonic()
    secret = ["--secret", f"id=pip.conf,src={pip_conf}"] if pip_conf else []
    command = ["build", "--format=docker", "--layers", "--pull=missing", f"--build-arg=BASE={base}", *secret]
    _podman(*command, f"--target={target}", f"--tag=signet-{target}", str(ROOT))
    said(f"signet-{target} builds on {base}", f"{time.monotonic() - started:.0f} s")


def check_configuration(target: str) -> None:
    """User, entry point and health check, as an engine reads them."""
    image = json.loads(_podman("image", "inspect", f"signet-{target}"))[0]
    settings = image["Config"]
    entrypoint = {"gateway": ["signet", "serve"], "model-server": ["signet", "model-server"], "training": ["signet"]}
    holds(settings["User"] == "10001:10001", f"{target} runs as user {settings['User']}")
    holds(settings["Entrypoint"] == entrypoint[target], f"{target} starts {settings['Entrypoint']}, without a shell")
    if target == "gateway":
        holds(bool(image.get("Healthcheck") or image.get("HealthCheck")), "gateway has a health check")


def check_size(target: str, base: str) -> None:
    """Tells the sizes, uncompressed: what the base has and what our layers add."""
    whole, below = (int(_podman("image", "inspect", "--format={{.Size}}", name)) for name in (f"signet-{target}", base))
    said(f"{target}: {whole / 1e6:.0f} MB", f"base {below / 1e6:.0f} MB, our layers {(whole - below) / 1e6:.0f} MB")


def check_contents() -> None:
    """No TensorFlow in the gateway's image but message files."""
    find = ["find", "/opt", "/usr", "(", "-path", "*/tensorflow*/*", "-o", "-name", "libtensorflow*", ")", "-type", "f"]
    files = _once(*find).split()
    other = [file for file in files if not re.search(r"(_pb2|_pb2_grpc|__init__)(\.cpython-311)?\.pyc?$", file)]
    holds(not other, f"gateway holds {len(files)} files of TensorFlow, all of them messages {other[:3] or ''}")
    holds(not _once("find", SITE, "-maxdepth", "1", "-name", "pip*"), "gateway's environment holds no pip")


def _once(*command: str) -> str:
    return _podman("run", "--rm", *HARDENED, "--no-healthcheck", "--entrypoint=", "signet-gateway", *command)


# ---- Containers


@contextmanager
def container(name: str, image: str, *arguments: str, options: list[str]) -> Iterator[str]:
    """A running container with the restrictions of compose.yaml, removed in the end."""
    _podman("run", "--detach", f"--name={name}", *HARDENED, *options, image, *arguments)
    try:
        yield name
    except Failed:
        print(_podman("logs", name, both=True)[-2000:])
        raise
    finally:
        _podman("rm", "--force", "--time=1", name)


@contextmanager
def model_server(folder: Path, port: int, in_container: bool) -> Iterator[None]:
    """`signet model-server` with the golden models, listening."""
    folder.chmod(0o755)
    config = folder / "models.config"
    models = "/models" if in_container else str(GOLDEN / "models")
    entries = [
        f'config {{ name: "{name}" base_path: "{models}/{name}" model_platform: "tensorflow" }}' for name in MODELS
    ]
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    started = time.monotonic()
    if in_container:
        mounts = [f"--volume={GOLDEN / 'models'}:/models:ro", f"--volume={config}:/models.config:ro"]
        flags = [f"--port={port}", "--model_config_file=/models.config"]
        with container("signet-check-model-server", "signet-model-server", *flags, options=mounts) as name:
            _until(lambda: _listens(port), "the model server listens")
            holds(_process(name)["Uid"].split()[0] == "10001", "model-server: process 1 is not root")
            said("model-server listens", f"{time.monotonic() - started:.1f} s, {_resident_mb(name):.0f} MB resident")
            yield
        return
    command = [str(ROOT / ".venv/bin/signet"), "model-server", f"--port={port}", f"--model_config_file={config}"]
    log = folder / "model-server.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:  # noqa: S603
        try:
            _until(lambda: _listens(port) or process.poll() is not None, "the model server listens")
            if process.poll() is not None:
                raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
            yield
        finally:
            process.terminate()


def server_stop_check(in_container: bool) -> None:
    """The model server's end, after the gateway's."""
    if in_container:
        seconds, code = _stop("signet-check-model-server")
        holds(code == 0, f"model-server: exit code {code}, {seconds:.1f} s after SIGTERM")


def check_gateway(stack: ExitStack, backend: str, port: int) -> None:
    """From its start to its end."""
    variables = {
        "SIGNET_BACKEND": backend,
        "SIGNET_MODELS": ",".join(MODELS),
        "SIGNET_HTTP_PORT": str(port),
        "SIGNET_GRPC_PORT": "0",
        "SIGNET_DRAIN_S": "1",
    }
    started = time.monotonic()
    options = [f"--env={key}={value}" for key, value in variables.items()]
    name = stack.enter_context(container("signet-check-gateway", "signet-gateway", options=options))
    _until(lambda: _get(port, "/readyz")[0] == 200, "/readyz answers 200")
    seconds, busy = time.monotonic() - started, _processor_s(name)
    holds(
        busy < READY_S,
        f"gateway: ready after {seconds:.1f} s, {busy:.2f} of them the processor's; at most {READY_S:.0f}",
    )

    status = _process(name)
    holds(status["Uid"].split() == ["10001"] * 4, f"gateway: process 1, {status['Name']}, is not root")
    holds(int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1", "gateway: no capability, no new privileges")
    root = next(line.split() for line in _kernel(name, "mountinfo") if line.split()[4] == "/")
    holds("ro" in root[5].split(","), "gateway: its root is read-only")
    holds(_podman("healthcheck", "run", name) == "", "gateway: the health check says healthy")

    same = check_predictions(port)
    said(f"gateway: {same} recorded requests get the answers of TensorFlow Serving")
    metrics = _get(port, "/metrics")[1]
    counted = sum(
        float(value) for value in re.findall(r'^signet_requests_total\{.*code="OK".*\} (\S+)$', metrics, re.M)
    )
    holds(counted == same, f"gateway: /metrics counts {counted:.0f} requests with OK")
    resident = _resident_mb(name)
    holds(resident < RESIDENT_MB, f"gateway: {resident:.0f} MB resident; at most {RESIDENT_MB}")
    check_drain(name, port)


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


def check_drain(name: str, port: int) -> None:
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
    seconds, code = _stop(name)
    for caller in callers:
        caller.join(LIMIT_S)
    wrong = sorted({status for status in answers if status != 200})
    holds(code == 0, f"gateway: exit code {code}, {seconds:.1f} s after SIGTERM, of which 1 s of drain")
    holds(not wrong, f"gateway: {before} requests before SIGTERM, {len(answers) - before} after it, failed: {wrong}")


def check_training(folder: Path) -> None:
    """A model trained in the container lies on the host."""
    work = folder / "work"
    work.mkdir()
    work.chmod(0o777)
    arguments = ["train", "digits", "--preset", "quick", "--epochs", "1"]
    with container("signet-check-training", "signet-training", *arguments, options=[f"--volume={work}:/work"]) as name:
        code = int(_podman("wait", name))
        made = [str(path.relative_to(work)) for path in work.glob("models/digits/1/saved_model.pb")]
        holds(code == 0 and bool(made), f"training: exit code {code}, made {made}")


# ---- The engine, HTTP, and telling


def said(fact: str, detail: str = "") -> None:
    """A line of the report."""
    print(f"ok    {fact}{f' ({detail})' if detail else ''}", flush=True)


def holds(true: bool, fact: str) -> None:
    """A line of the report, or its end."""
    if not true:
        raise Failed(fact)
    said(fact)


def _engine() -> list[str]:
    """podman, with the runtime that is here, and as it has to be where no systemd runs."""
    without_systemd = [] if Path("/run/systemd/system").exists() else ["--cgroup-manager=cgroupfs"]
    return [
        "podman",
        f"--runtime={'runc' if shutil.which('runc') else 'crun'}",
        "--events-backend=file",
        *without_systemd,
    ]


def _podman(*arguments: str, both: bool = False) -> str:
    """Its output, with the error output when `both` are wanted."""
    done = subprocess.run([*_engine(), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Failed(
            f"podman {' '.join(arguments)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
        )
    return (done.stdout + done.stderr if both else done.stdout).strip()


def _stop(name: str) -> tuple[float, int]:
    """Send SIGTERM; seconds until the end, and its exit code."""
    started = time.monotonic()
    _podman("kill", "--signal=TERM", name)
    code = int(_podman("wait", name))
    return time.monotonic() - started, code


def _kernel(name: str, file: str) -> list[str]:
    """What the kernel tells of the container's process 1."""
    pid = _podman("inspect", "--format={{.State.Pid}}", name)
    return Path("/proc", pid, file).read_text().splitlines()


def _process(name: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in _kernel(name, "status"))}


def _processor_s(name: str) -> float:
    user, system = _kernel(name, "stat")[0].rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _resident_mb(name: str) -> float:
    return int(_process(name)["VmRSS"].split()[0]) * 1024 / 1e6


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
