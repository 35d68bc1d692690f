"""Python environments for the clients of others, which may want other versions than the project does.

    tests/third_party/NAME.lock ──▶ .venv-NAME, made once, and again when the lock file has changed

The lock files have hashes; `make lock` writes them. They leave out what a client's own code does not import.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

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


def _run(*command: str | Path, may_fail: bool = False) -> str:
    """The output of a command that failed, and "" when it did not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert may_fail or done.returncode == 0, done.stderr
    return done.stderr if done.returncode else ""
