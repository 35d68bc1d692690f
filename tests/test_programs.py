"""What the tests need is installed before the first of them, or one sentence says how."""

import os
import re
import subprocess
import sys

import pytest

from tests import programs
from tests.servers import ROOT

KUBECTL = "echo Client Version: v1.32.4"
EVERY_SYSTEMS = {"sh", "bash", "make", "git", "kill", "true"}


class Machine:
    """A folder of programs that is all of the PATH; each writes down how it was called."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder / "bin"
        self.calls = folder / "calls"
        self.calls.touch()
        self.folder.mkdir()
        for name in ("env", "touch", "chmod"):
            self.folder.joinpath(name).symlink_to(f"/usr/bin/{name}")
        self.has(**{**dict.fromkeys(programs.PACKAGES, "true"), "kubectl": KUBECTL})
        monkeypatch.setenv("PATH", str(self.folder))
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def has(self, **scripts):
        for name, script in scripts.items():
            file = self.folder / name.replace("_", "-")
            file.write_text(f'#!/bin/sh\necho {file.name} "$@" >> {self.calls}\n{script}\n')
            file.chmod(0o755)

    def lacks(self, *names):
        for name in names:
            (self.folder / name).unlink()

    def installs(self):
        """What apt-get was called with."""
        return [line for line in self.calls.read_text().splitlines() if "apt-get" in line]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_where_all_is_there_nothing_is_installed(machine, capfd):
    machine.has(apt_get="true")
    assert programs.main() == 0
    assert machine.installs() == []
    assert capfd.readouterr() == ("", "")


def test_without_apt_get_a_sentence_says_what_is_missing(machine, capfd):
    machine.lacks("promtool", "prometheus", "dot")
    assert programs.main() == 1
    assert capfd.readouterr().err == (
        "The tests need programs of these packages: graphviz, prometheus. On Debian: `apt-get install graphviz prometheus`, "
        "as root; elsewhere your system's packages of the same programs.\n"
    )


def test_apt_get_installs_what_is_missing_and_nothing_else(machine):
    machine.lacks("dot")
    machine.has(apt_get=f'case "$*" in *install*) touch {machine.folder}/dot; chmod +x {machine.folder}/dot;; esac')
    assert programs.main() == 0
    assert machine.installs() == ["apt-get -q -y update", "apt-get -q -y install graphviz"]


def test_who_is_not_root_asks_sudo(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.lacks("dot")
    machine.has(apt_get="true")
    assert programs.main() == 1  # there is no sudo
    assert machine.installs() == []
    machine.has(sudo=f"touch {machine.folder}/dot; chmod +x {machine.folder}/dot")
    assert programs.main() == 0
    assert machine.installs()[-1] == "sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y install graphviz"


def test_what_apt_get_could_not_do_is_said(machine, capfd):
    machine.lacks("dot")
    machine.has(apt_get="echo no such package; exit 100")
    assert programs.main() == 1
    printed = capfd.readouterr().err
    assert "no such package" in printed
    assert "`apt-get update` ended with 100: try `apt-get install graphviz` as root." in printed
    machine.has(apt_get="true")  # installs a package that does not have it
    assert programs.main() == 1
    assert "still missing: graphviz" in capfd.readouterr().err


@pytest.mark.parametrize("printed", ["Client Version: v1.26.15", 'version.Info{Major:"1", GitVersion:"v1.20.2"}', ""])
def test_an_old_kubectl_is_told(machine, printed, capfd):
    machine.has(kubectl=f"echo '{printed}'")
    assert programs.main() == 1
    assert "is too old for the tests: they need 1.27 or newer" in capfd.readouterr().err


def test_make_test_installs_them_before_the_first_test_and_stops_without_them(machine):
    machine.lacks("dot")
    environment = {**os.environ, "PATH": str(machine.folder)}
    command = [sys.executable, "-m", "tests.programs"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    recipe = (ROOT / "Makefile").read_text().split("\ntest: ")[1].splitlines()
    assert [line.split("$(BIN)/")[1].split()[0] for line in recipe[1:3]] == ["python", "pytest"]


def test_a_test_whose_program_is_missing_names_the_package(machine):
    machine.lacks("dot")
    with pytest.raises(AssertionError, match="dot is missing: apt-get install graphviz"):
        programs.need("dot")


def test_every_program_that_a_test_runs_is_listed():
    started, needed = set(), set()
    for file in (ROOT / "tests").rglob("*.py"):
        text = file.read_text()
        needed |= set(re.findall(r'programs\.need\("(\w+)"\)', text))
        started |= set(re.findall(r'subprocess\.\w+\(\s*\["([\w-]+)"', text))
    assert needed == programs.PACKAGES.keys()
    assert started - {"pyenv"} <= needed | EVERY_SYSTEMS  # pyenv is asked for more Pythons where it is there
