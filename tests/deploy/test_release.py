import hashlib
import subprocess
import sys
import tomllib

import pytest

from deploy import release_check
from tests.servers import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_this_checkout_could_be_released():
    command = [sys.executable, ROOT / "deploy/release_check.py", "--allow-dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == [f"ok    signet-serving {VERSION} can be released"], done.stdout + done.stderr


def test_every_place_that_names_another_version_is_found():
    places = {fault.partition(" ")[0] for fault in release_check.versions("9.9.9")}
    assert {"Dockerfile", "deploy/compose.yaml", "deploy/kubernetes/base/gateway/deployment.yaml"} <= places
    assert list(release_check.versions(VERSION)) == []


def test_a_version_without_a_word_of_what_changed_is_found():
    (fault, *_) = release_check.changes("9.9.9")
    assert fault.startswith(f"CHANGELOG.md begins with '{VERSION}")


def test_a_checkout_without_links_is_refused_with_what_to_do(tmp_path):
    """As git makes it where `core.symlinks` is false: each link is a file that holds where it leads."""
    (tmp_path / "signet").mkdir()
    (tmp_path / "setup.py").write_text((ROOT / "setup.py").read_text())
    for name in ("clients", "serving", "training"):
        (tmp_path / "signet" / name).write_text((ROOT / "signet" / name).readlink().as_posix())
    build = [sys.executable, "setup.py", "build_py"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "signet/clients is no link to the folder clients/: clone with `git clone -c core.symlinks"
    )


@pytest.mark.parametrize("field", ["description", "readme", "license", "requires-python", "keywords", "classifiers"])
def test_the_package_says_what_it_is(field):
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][field]


def test_the_licence_is_the_apache_software_foundations_text_to_the_letter():
    text = (ROOT / "LICENSE").read_bytes()
    # What `sha256sum` gives of https://www.apache.org/licenses/LICENSE-2.0.txt.
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
