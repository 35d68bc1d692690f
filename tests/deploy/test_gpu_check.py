"""deploy/gpu_check.sh against a kubectl that answers as a cluster would: no GPU is at hand."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.kubernetes_files import pod_specs
from tests.servers import ROOT

SCRIPT = ROOT / "deploy/gpu_check.sh"
ANSWERS = {
    "get nodes": "1",
    "get pods": "model-server-5d7b-9qz4m",
    "resources.limits": "1",
    ".image": "tensorflow/serving:2.20.0-gpu",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "name,driver_version": "NVIDIA L4, 550.90.07",
    "logs": "Created device /job:localhost/replica:0/task:0/device:GPU:0 with 20480 MB memory:  -> device: 0, name: NVIDIA L4",
    "memory.used": "2610",
    "utilization.gpu": "37",
}


def check(folder: Path, **different: str) -> subprocess.CompletedProcess[str]:
    """Run the script; `kubectl` prints the answer of the first key that its arguments hold."""
    answers = {**ANSWERS, **different}
    branches = "".join(f"  *{key.replace(' ', '*')}*) echo '{answer}';;\n" for key, answer in answers.items())
    for name, text in {"kubectl": f'case "$*" in\n{branches}esac\n', "sleep": "exit 0\n"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    variables = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", SCRIPT, "signet"], capture_output=True, text=True, check=False, env=variables, timeout=30
    )


def test_all_links_hold(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert len(done.stdout.splitlines()) == len(ANSWERS)


@pytest.mark.parametrize(
    ("key", "answer", "said"),
    [
        ("get nodes", "", "GPUs that the nodes offer"),
        ("resources.limits", "", "GPUs that it holds"),
        (".image", "tensorflow/serving:2.20.0", "its image is for GPUs"),
        ("TF_FORCE_GPU_ALLOW_GROWTH", "", "memory grows"),
        ("name,driver_version", "", "the driver shows it"),
        ("logs", "Could not find cuda drivers on your machine, GPU will not be used.", "TensorFlow made a device"),
        ("memory.used", "0", "MiB of its memory"),
        ("utilization.gpu", "0", "per cent of the time"),
    ],
)
def test_the_broken_link_is_named(tmp_path, key, answer, said):
    done = check(tmp_path, **{key: answer})
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert said in line


def test_without_a_pod_it_ends_there(tmp_path):
    done = check(tmp_path, **{"get pods": ""})
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "FAIL  a pod of the model server runs"


def test_it_looks_at_what_the_overlay_sets():
    (container,) = pod_specs("gpu")["model-server"]["containers"]
    script = SCRIPT.read_text()
    assert f"--container {container['name']}" in script
    assert container["env"][0]["name"] in script
    assert "app.kubernetes.io/name=model-server" in script
