import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.deploy.locks import IMAGES, pins
from tests.deploy.pythons import offered
from tests.servers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def direct(*extras: str) -> set[str]:
    lines = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return {Requirement(line).name for line in lines} - {PROJECT["name"]}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_pins_what_the_project_pins(image):
    everything, part = pins("requirements.lock"), pins(f"deploy/{image}.lock")
    assert part.items() <= everything.items()
    assert all(hashes for _, hashes in part.values())


@pytest.mark.parametrize(
    ("image", "extras"),
    [
        ("gateway", ("grpc", "gateway", "otlp")),
        ("model-store", ("grpc", "gateway", "otlp", "s3", "gs")),
        ("model-server", ("grpc", "gateway", "engine", "otlp", "build")),
        ("training", ("grpc", "gateway", "engine", "training")),
    ],
)
def test_an_image_holds_what_its_part_of_the_project_needs(image, extras):
    assert direct(*extras) <= pins(f"deploy/{image}.lock").keys()


def test_one_lock_pins_the_same_for_each_python_that_make_takes():
    """Its markers leave packages out on Windows or for Python 3.14, for which there is no TensorFlow."""
    lines = re.findall(r"^[\w.-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked = {}
    for version in ("3.11", "3.12", "3.13"):
        linux = {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": "linux"}
        found = [Requirement(line) for line in lines]
        locked[version] = {each.name for each in found if each.marker is None or each.marker.evaluate(linux)}
    assert locked["3.11"] == locked["3.12"] == locked["3.13"]
    assert {name.lower() for name in direct("engine", "training", "load", "dev")} <= locked["3.11"]


@pytest.mark.parametrize("version", offered())
def test_make_takes_the_pythons_for_which_there_is_tensorflow(version):
    asked = ["make", "--dry-run", "--assume-new=requirements.lock", ".venv/.done", f"PYTHON={offered()[version]}"]
    alone = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }  # of `make test`
    said = subprocess.run(asked, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    check = said.splitlines()[0]
    done = subprocess.run(["sh", "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (version != "3.10"), check
    assert done.returncode == 0 or "Signet needs Python 3.11, 3.12 or 3.13" in done.stderr


@pytest.mark.parametrize("image", ["gateway", "model-store"])
def test_serving_needs_no_tensorflow(image):
    assert not [name for name in pins(f"deploy/{image}.lock") if re.search("tensor|keras", name)]


def test_the_store_adds_to_the_gateway_and_changes_nothing():
    assert pins("deploy/gateway.lock").items() <= pins("deploy/model-store.lock").items()


def test_the_project_is_built_with_what_the_engine_brings():
    """Dockerfile, stage project: what builds it comes by hash with TensorFlow."""
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]:
        needed = Requirement(line)
        version, _ = pins("deploy/model-server.lock")[needed.name]
        assert version in needed.specifier


def test_messages_are_generated_by_a_protoc_that_is_no_newer_than_protobuf():
    from google.protobuf import runtime_version

    from signet.serving.open_inference import (
        open_inference_pb2,  # fails itself where the runtime is older than what generated it
    )

    text = Path(open_inference_pb2.__file__).read_text()
    assert f"Protobuf Python Version: {runtime_version.MAJOR}." in text


@pytest.mark.parametrize(
    "path",
    [
        "requirements.lock",
        *(f"deploy/{image}.lock" for image in IMAGES),
        *(f"tests/third_party/{client}.lock" for client in ("tritonclient", "kserve")),
    ],
)
def test_a_lock_names_no_place(path):
    text = (ROOT / path).read_text()
    assert "://" not in text
    assert not re.search(r"^--(index|extra|find|trusted)", text, re.MULTILINE)
