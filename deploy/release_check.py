"""Whether this checkout can be released: `make release-check`. It builds and looks; it publishes nothing.

    version in pyproject.toml ══ image tags in compose.yaml and kubernetes/ ══ Dockerfile ══ CHANGELOG.md
    made files ══ what they are made from         wheel, sdist ──▶ the same bytes twice ──▶ installed, `signet` starts

Exit code 0: it can. Then: set the date in CHANGELOG.md, tag vVERSION, build and push the images with that tag.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {"signet"}


def main() -> int:
    """Look for every fault, print them, and give the exit code."""
    parser = argparse.ArgumentParser(description="Whether this checkout can be released.")
    parser.add_argument("--allow-dirty", action="store_true", help="do not ask whether everything is committed")
    options = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    faults = [*versions(project["version"]), *changes(project["version"]), *made_files()]
    if not options.allow_dirty:
        faults += uncommitted()
    with tempfile.TemporaryDirectory() as folder:
        faults += packages(Path(folder), project["version"])
    for fault in faults:
        print(f"FAIL  {fault}")
    if not faults:
        print(f"ok    {project['name']} {project['version']} can be released")
    return 1 if faults else 0


def versions(version: str) -> Iterator[str]:
    """Files that name another version than this one."""
    files = [ROOT / "Dockerfile", ROOT / "deploy/README.md", ROOT / "deploy/compose.yaml"]
    files += sorted((ROOT / "deploy/kubernetes").rglob("*.yaml"))
    for file in files:
        for found in re.findall(r"(?:signet-[a-z-]+:|ARG VERSION=)([\w.]+)", file.read_text()):
            if found != version:
                yield f"{file.relative_to(ROOT)} names version {found}; pyproject.toml says {version}"


def changes(version: str) -> Iterator[str]:
    """What CHANGELOG.md does not say of this version."""
    sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    newest = sections[0].splitlines()
    if not re.fullmatch(rf"{re.escape(version)} – (unreleased|\d{{4}}-\d\d-\d\d)", newest[0]):
        yield f"CHANGELOG.md begins with {newest[0]!r}; expected '{version} – DATE', or 'unreleased'"
    if not any(line.startswith("- ") for line in newest):
        yield f"CHANGELOG.md says nothing of {version}"


def made_files() -> Iterator[str]:
    """Files that are not what they would be if they were made now."""
    for file, command in {
        "deploy/grafana/signet.json": [sys.executable, "deploy/dashboard.py"],
        "deploy/capacity.md": [sys.executable, "-m", "tests.bench.capacity", "--page"],
        "docs/performance.md": [sys.executable, "-m", "tests.bench", "--page"],
    }.items():
        before = (ROOT / file).read_bytes()
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603
        if (ROOT / file).read_bytes() != before:
            yield f"{file} was not up to date; it is now"


def uncommitted() -> Iterator[str]:
    """Files that are not committed."""
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    for line in status.stdout.splitlines():
        yield f"not committed: {line}"


def packages(folder: Path, version: str) -> Iterator[str]:
    """What is wrong with the wheel and the sdist."""
    first, second = (build(folder / name) for name in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        if hashlib.sha256(one.read_bytes()).digest() != hashlib.sha256(other.read_bytes()).digest():
            yield f"{one.name} has other bytes each time that it is built"
    wheel = next(file for file in first if file.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    if tops != PACKAGES | {f"signet_serving-{version}.dist-info"}:
        yield f"{wheel.name} holds {sorted(tops)}; expected {sorted(PACKAGES)} and its metadata"
    site = folder / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True)  # noqa: S603
    command = [sys.executable, "-c", "import sys, signet.cli; sys.argv[1:] = ['--help']; signet.cli.main()"]
    started = subprocess.run(  # noqa: S603
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    if started.returncode or "serve" not in started.stdout:
        yield f"{wheel.name} is installed, and `signet --help` ends with {started.returncode}: {started.stderr[-500:]}"


def build(folder: Path) -> list[Path]:
    """Wheel and sdist of what git has here, in a copy: a build leaves its folders behind."""
    source = folder / "source"
    source.mkdir(parents=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    for name in filter(None, files.split("\0")):
        if name.startswith("tests/golden/"):
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            (source / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            (source / name).write_bytes((ROOT / name).read_bytes())
            os.utime(source / name, (0, 0))
    for folders, _, _ in os.walk(source, topdown=False):
        os.utime(folders, (0, 0))
    code = (
        "import os, sys; from setuptools import build_meta; os.chdir(sys.argv[1]);"
        "build_meta.build_wheel(sys.argv[2]); build_meta.build_sdist(sys.argv[2])"
    )
    target = folder / "dist"
    target.mkdir()
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, source, target],
        check=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"},  # 1980, where zip's time begins
    )
    return sorted(target.iterdir())


if __name__ == "__main__":
    sys.exit(main())
