"""Build the images, run them as production would, and say what is true of them: `make images-check`.

    build ──▶ configuration, contents, size ──▶ model server ◀──gRPC── gateway ◀── predictions
                                                                          └── ready, health, memory, metrics, SIGTERM

Containers run as compose.yaml runs them: read-only root, no capability, no new privileges, not as root; on the host's
network. The predictions are requests that a real TensorFlow Serving answered, with its answers (tests/golden). What they
tell of processes is read in the containers, so any engine with Docker's command line will do: docker, podman, or the one
that ENGINE names, with its options. Exit code 0: every check holds. Images stay, containers do not.
"""

import argparse
import json
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.deploy import dockerfile
from tests.servers import ROOT, free_port, wait_until

GOLDEN = ROOT / "tests" / "golden"
MODELS = ("two_in", "three_out")
DIFFERENT = {"duplicate_input_key"}
"""Recorded requests that the gateway means to answer in another way: of two equal keys it takes the last."""
LAYERS_MB, READY_S, RESIDENT_MB = 130, 2.0, 120
"""What the gateway may add to its base, take of the processor until /readyz, and hold in memory in remote mode."""
HARDENED = (
    *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host"),
    *("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"),  # podman's own wish is more than some machines grant
    "--no-healthcheck",  # this check runs its command
)
BEARER: dict[str, str] = {}
"""The key that requests carry. Written by `make_keys`."""
ENGINE = shlex.split(os.environ.get("ENGINE", "")) or ["podman" if shutil.which("podman") else "docker"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the images and run them as production would.")
    parser.add_argument("base", nargs="?", default="docker.io/library/python:3.11-slim-bookworm", help="base image")
    parser.add_argument("--training", action="store_true", help="build training too, and train in it (gigabytes)")
    parser.add_argument("--pip-conf", type=Path, help="pip configuration for the build; it stays out of the images")
    options = parser.parse_args()
    if not shutil.which(ENGINE[0]):
        sys.exit(f"{ENGINE[0]} is missing: install docker or podman (Debian: apt-get install podman runc)")
    for target in ("gateway", "model-server", *(["training"] if options.training else [])):
        check_image(target, options.base, options.pip_conf)
    check_contents()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        folder.chmod(0o755)  # the images' user reads it
        entries = [
            f'config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" }}' for name in MODELS
        ]
        (folder / "models.config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
        check_servers(folder)
        if options.training:
            check_training(folder / "work")
    print("All checks hold.")


def engine(*words: str | Path) -> str:
    """The output of a command of the engine."""
    done = subprocess.run([*ENGINE, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"FAIL  {' '.join(map(str, words))} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
        )
    return done.stdout.strip()


def holds(true: bool, fact: str) -> None:
    """A line of the report, or its end."""
    if not true:
        sys.exit(f"FAIL  {fact}")
    print(f"ok    {fact}", flush=True)


# ---- Images


def check_image(target: str, base: str, pip_conf: Path | None) -> None:
    """It builds; user, entry point, label and health check; size, uncompressed."""
    started, image = time.monotonic(), f"signet-{target}"
    secret = [f"--secret=id=pip.conf,src={pip_conf}"] if pip_conf else []
    docker_format = ["--format=docker"] if "podman" in ENGINE[0] else []  # which keeps HEALTHCHECK
    engine("build", *docker_format, f"--build-arg=BASE={base}", f"--target={target}", f"--tag={image}", *secret, ROOT)
    holds(True, f"{image} builds on {base} ({time.monotonic() - started:.0f} s)")
    config = json.loads(engine("image", "inspect", "--format={{json .Config}}", image))
    holds(config["User"] == "10001:10001", f"{target} runs as user {config['User']}")
    holds(
        config["Entrypoint"] == dockerfile.command(target), f"{target} starts {config['Entrypoint']}, without a shell"
    )
    version = config["Labels"]["org.opencontainers.image.version"]
    holds(version == dockerfile.arguments()["VERSION"], f"{target} is labelled as version {version}")
    below, whole = (int(engine("image", "inspect", "--format={{.Size}}", name)) / 1e6 for name in (base, image))
    most = f"; at most {LAYERS_MB}" if target == "gateway" else ""
    fits = target != "gateway" or whole - below < LAYERS_MB
    holds(fits, f"{target}: base {below:.0f} MB, our layers {whole - below:.0f} MB{most}")


def check_contents() -> None:
    """No TensorFlow in the gateway's image but message files, and no pip."""
    find = [
        "find",
        "/opt",
        "-path",
        "*/tensorflow*/*",
        "-type",
        "f",
        "-o",
        "-name",
        "libtensorflow*",
        "-o",
        "-name",
        "pip",
    ]
    files = engine("run", "--rm", *HARDENED, "--entrypoint=", "signet-gateway", *find).split()
    other = [file for file in files if not re.search(r"(_pb2|_pb2_grpc|__init__)(\.cpython-311)?\.pyc?$", file)]
    holds(not other, f"gateway holds {len(files)} files of TensorFlow, all of them messages {other[:3] or ''}")


# ---- Containers


class Container:
    """A running one: what it does, seen from inside, where its program is process 1."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, file: str) -> str:
        return engine("exec", self.name, "cat", f"/proc/1/{file}")

    def status(self) -> dict[str, str]:
        return {
            key: value.strip() for key, _, value in (line.partition(":") for line in self.read("status").splitlines())
        }

    def resident_mb(self) -> float:
        return int(self.status()["VmRSS"].split()[0]) * 1024 / 1e6

    def processor_s(self) -> float:
        return sum(map(int, self.read("stat").rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def stop(self, what: str) -> None:
        """SIGTERM ends it well."""
        started = time.monotonic()
        engine("kill", "--signal=TERM", self.name)
        code = engine("wait", self.name)
        holds(code == "0", f"{what}: exit code {code}, {time.monotonic() - started:.1f} s after SIGTERM")


@contextmanager
def running(
    image: str,
    *arguments: str,
    variables: Mapping[str, object],
    mounts: Mapping[Path, str],
    options: Sequence[str] = (),
) -> Iterator[Container]:
    """A container, removed in the end; what it printed is shown when a check fails."""
    words = [f"--env={key}={value}" for key, value in variables.items()]
    words += [f"--volume={here}:{there}:ro" for here, there in mounts.items()]
    container = Container(engine("run", "--detach", *HARDENED, *words, *options, image, *arguments))
    try:
        yield container
    except (SystemExit, AssertionError):
        subprocess.run([*ENGINE, "logs", container.name], check=False)
        raise
    finally:
        engine("rm", "--force", container.name)


def check_servers(folder: Path) -> None:
    """The gateway in front of the model server; then the model server's image as a gateway with the models in it."""
    rpc, http_port, admin_port, embedded = free_port(), free_port(), free_port(), free_port()
    keys = {make_keys(folder): "/keys"}
    models = {GOLDEN / "models": "/models"}
    flags = (f"--port={rpc}", "--model_config_file=/etc/tf-serving/models.config")
    with running("signet-model-server", *flags, variables={}, mounts={**models, folder: "/etc/tf-serving"}) as server:
        wait_until(lambda: listens(rpc), what="the model server")
        holds(
            server.status()["Uid"].split()[0] == "10001",
            f"model-server: not root, {server.resident_mb():.0f} MB resident",
        )
        backend = {"SIGNET_BACKEND": f"127.0.0.1:{rpc}", "SIGNET_MODELS": ",".join(MODELS), "SIGNET_DRAIN_S": 1}
        ports = {"SIGNET_HTTP_PORT": http_port, "SIGNET_GRPC_PORT": 0}
        admin = {"SIGNET_ADMIN_PORT": admin_port}
        variables = {**backend, **ports, **admin}
        check_refusal(variables)
        with running("signet-gateway", variables=variables, mounts=keys) as gateway:
            check_gateway(gateway, http_port, admin_port)
        server.stop("model-server")
    variables = {"SIGNET_MODELS_DIR": "/models", "SIGNET_HTTP_PORT": embedded, "SIGNET_GRPC_PORT": 0}
    entrypoint = ["--entrypoint=signet"]
    mounts = {**models, **keys}
    with running("signet-model-server", "serve", variables=variables, mounts=mounts, options=entrypoint) as container:
        wait_until(lambda: get(embedded, "/readyz")[0] == 200, what="/readyz answers 200")
        same = check_predictions(embedded)
        holds(True, f"model-server as gateway: {same} recorded requests get the answers of TensorFlow Serving")
        container.stop("model-server as gateway")


def make_keys(folder: Path) -> Path:
    """A folder with a file of keys, made as compose.yaml's service `keys` makes it; its key is sent from now on."""
    keys = folder / "keys"
    keys.mkdir()
    keys.chmod(0o777)  # the images' user writes to it
    words = ("--entrypoint=signet", f"--volume={keys}:/keys", "signet-gateway", "keys", "add", "first", "--if-missing")
    token, again = (engine("run", "--rm", *HARDENED, *words).splitlines() for _ in range(2))
    holds(len(token) == 1 and not again, "gateway: the first start makes a key, the second none")
    BEARER["Authorization"] = f"Bearer {token[0]}"
    return keys


def check_refusal(variables: Mapping[str, object]) -> None:
    """Without a file of keys it does not start."""
    words = [f"--env={key}={value}" for key, value in variables.items()]
    command = [*ENGINE, "run", "--rm", *HARDENED, *words, "signet-gateway"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    holds(done.returncode != 0 and "keys" in done.stderr, f"gateway: without keys it ends with {done.returncode}")


def check_gateway(container: Container, port: int, admin_port: int) -> None:
    """From its start to its end."""
    wait_until(lambda: get(port, "/readyz")[0] == 200, what="/readyz answers 200")
    busy, status = container.processor_s(), container.status()
    holds(busy < READY_S, f"gateway: ready after {busy:.2f} s of the processor's; at most {READY_S:.0f}")
    holds(status["Uid"].split() == ["10001"] * 4, f"gateway: process 1, {status['Name']}, is not root")
    nothing = int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"
    holds(nothing, "gateway: no capability, no new privileges")
    root = next(line.split() for line in container.read("mountinfo").splitlines() if line.split()[4] == "/")
    holds("ro" in root[5].split(","), "gateway: its root is read-only")
    health = json.loads(engine("image", "inspect", "--format={{json .Config.Healthcheck}}", "signet-gateway"))["Test"]
    engine("exec", container.name, *health[1:])
    stranger = httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code
    holds(stranger == 401, f"gateway: a caller without a key gets {stranger}")
    same = check_predictions(port)
    counted = re.findall(
        r'^signet_requests_total\{.*code="OK".*\} (\S+)$', get(admin_port, "/metrics")[1], re.MULTILINE
    )
    holds(sum(map(float, counted)) == same, f"gateway: healthy, {same} recorded requests answered alike, and counted")
    resident = container.resident_mb()
    holds(resident < RESIDENT_MB, f"gateway: {resident:.0f} MB resident; at most {RESIDENT_MB}")
    check_drain(container, port)


def check_predictions(port: int) -> int:
    """Replay what TensorFlow Serving answered with 200; gives how many. Errors and packed bodies are for tests/serving."""
    cases = json.loads((GOLDEN / "tfserving" / "rest.json").read_text())["cases"]
    path = re.compile(rf"/v1/models/({'|'.join(MODELS)})(/versions/1)?:predict")
    chosen = [case for case in cases if case["response"]["status"] == 200 and path.fullmatch(case["request"]["path"])]
    chosen = [case for case in chosen if "body" in case["request"] and case["name"] not in DIFFERENT]
    for case in chosen:
        status, body = get(port, case["request"]["path"], case["request"]["body"])
        expected = case["response"]["body"]
        if status != 200 or not alike(json.loads(body), json.loads(expected)):
            sys.exit(f"FAIL  {case['name']} got {status} {body[:200]}; expected {expected[:200]}")
    assert len(chosen) > 5
    return len(chosen)


def check_drain(container: Container, port: int) -> None:
    """Callers who leave when /readyz says no, as load balancers do, lose no request to a stop."""
    body = json.dumps({"instances": [{"a": [1, 2, 3], "b": [4, 5]}]})
    answers: list[int] = []

    def call() -> None:
        while get(port, "/readyz")[0] == 200:
            answers.append(get(port, "/v1/models/two_in:predict", body)[0])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_until(lambda: len(answers) > 100, what="a hundred answers")
    container.stop("gateway")
    for caller in callers:
        caller.join()
    wrong = sorted({status for status in answers if status != 200})
    holds(not wrong, f"gateway: {len(answers)} requests before and while it stopped, failed: {wrong}")


def check_training(work: Path) -> None:
    """A model trained in the container lies on the host."""
    work.mkdir()
    work.chmod(0o777)
    engine("run", "--rm", *HARDENED, f"--volume={work}:/work", "signet-training", "train", "digits", "--epochs", "1")
    holds((work / "models/digits/1/saved_model.pb").exists(), "training: the model it trained lies on the host")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(port: int, path: str, body: str | None = None) -> tuple[int, str]:
    """Status and body; 0 when nobody answers."""
    try:
        url = f"http://127.0.0.1:{port}{path}"
        response = httpx.request("GET" if body is None else "POST", url, content=body, headers=BEARER)
    except httpx.TransportError as error:
        return 0, str(error)
    return response.status_code, response.text


def alike(one: Any, other: Any) -> bool:
    """Equal JSON, but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


if __name__ == "__main__":
    main()
