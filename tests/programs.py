"""Installs what the tests need beside Python's packages, before the first of them: `python -m tests.programs`.

    missing ──▶ none: nothing to do ──▶ apt-get is here: it installs them ──▶ else a sentence, exit code 1, and no test runs

`make quick` needs none of them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "dot": "graphviz",
    "chromium": "chromium",
    "kubectl": "kubernetes-client",
    "npm": "npm",
    "openssl": "openssl",
    "curl": "curl",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "cc": "gcc",
    "node": "nodejs",
}
"""Program -> Debian's package of it."""

KUBECTL = (1, 27)
"""The oldest kubectl that reads deploy/kubernetes: older ones do not know what it is written in."""


def main() -> int:
    """Gives the exit code."""
    packages = missing()
    if packages and (refused := install(packages)):
        print(refused, file=sys.stderr)
        return 1
    if old := too_old():
        print(old, file=sys.stderr)
        return 1
    return 0


def missing() -> list[str]:
    """The packages of which a program is not here."""
    return sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})


def install(packages: Sequence[str]) -> str | None:
    """Have apt-get install them; gives a sentence where that cannot be."""
    command = f"apt-get install {' '.join(packages)}"
    asked = f"The tests need programs of these packages: {', '.join(packages)}."
    root = [] if os.geteuid() == 0 else ["sudo"]
    if not all(shutil.which(program) for program in ["apt-get", *root]):
        return f"{asked} On Debian: `{command}`, as root; elsewhere your system's packages of the same programs."
    print(f"{asked} Installing them with apt-get", flush=True)
    apt_get = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    for words in (["update"], ["install", *packages]):
        done = subprocess.run(
            [*apt_get, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            return f"{asked} `apt-get {words[0]}` ended with {done.returncode}: try `{command}` as root."
    left = missing()
    return f"{asked} apt-get installed them, and these are still missing: {', '.join(left)}." if left else None


def too_old() -> str | None:
    """A sentence when kubectl is too old, as Debian 12's is."""
    done = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, check=False)
    found = re.search(r"v(\d+)\.(\d+)", done.stdout)
    if found and (int(found[1]), int(found[2])) >= KUBECTL:
        return None
    version = found[0] if found else "of this machine"
    return (
        f"kubectl {version} is too old for the tests: they need {'.'.join(map(str, KUBECTL))} or newer, "
        "see https://kubernetes.io/docs/tasks/tools/"
    )


def need(program: str) -> None:
    """Fail, naming the Debian package, when a program that a test runs is missing."""
    package = PACKAGES[program]
    assert shutil.which(program), f"{program} is missing: apt-get install {package}"


if __name__ == "__main__":
    sys.exit(main())
