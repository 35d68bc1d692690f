"""Python environments for the clients of others, which may want other versions than the project does.

    tests/third_party/NAME.lock ──▶ .venv-NAME, made once, and again when the lock file has changed
    tests/third_party/NAME/package-lock.json ──▶ .node-NAME, of npm's packages, alike

The lock files have hashes; `make lock` writes them. They leave out what a client's own code does not import.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests import programs
from tests.servers import ROOT

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


def python(name: str, *, borrows: bool = False) -> Path:
    """The interpreter of the environment; fails when it cannot be made.

    borrows: what the environment itself lacks comes from the one that runs the tests: Signet, TensorFlow, Keras.
    """
    lock, folder = HERE / f"{name}.lock", ROOT / f".venv-{name}"
    interpreter, stamp = folder / "bin" / "python", folder / "made-from"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", "--without-pip", folder)
        what = ("--no-deps", "--require-hashes", "--requirement", lock)
        uv, pip = BIN / "uv", BIN / "pip"
        # uv takes a second where pip takes ten, but does not know an index that only pip's configuration names.
        problem = _run(uv, "pip", "install", "--python", interpreter, *what, may_fail=True)
        if problem:
            _run(pip, "--python", interpreter, "install", "--quiet", "--no-compile", *what)
        if borrows:
            (own,) = (folder / "lib").glob("python*/site-packages")
            lender = sysconfig.get_path("purelib")
            (own / "borrowed.pth").write_text(f"{ROOT}\nimport site; site.addsitedir({lender!r})\n")
        stamp.write_text(digest)
    return interpreter


def node(name: str) -> Path:
    """The folder with npm's packages; their programs are in `node_modules/.bin`. Fails when it cannot be made."""
    programs.need("node")
    programs.need("npm")
    made_from, folder = HERE / name, ROOT / f".node-{name}"
    folder.mkdir(exist_ok=True)
    lock, stamp = made_from / "package-lock.json", folder / "made-from"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            for file in (made_from / "package.json", lock):
                shutil.copy(file, folder)
            _run("npm", "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund")
            stamp.write_text(digest)
    return folder


def _run(*command: str | Path, may_fail: bool = False) -> str:
    """The output of a command that failed, and "" when it did not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert may_fail or done.returncode == 0, done.stderr
    return done.stderr if done.returncode else ""
