"""Build the wheels of Signet: `python deploy/wheel.py FOLDER`, which is `make wheel`.

    sources + TensorFlow's message files in signet/serving/tensors/messages/ ──build──▶ FOLDER/signet_serving-…-any.whl
                                                      the same + the compiled helper ──▶ FOLDER/signet_serving-…-linux_x86_64.whl

The first is pure Python, for every machine; the second, which there is only with a C compiler, for machines such as this one:
pip chooses it there. Neither needs TensorFlow: the clients run on what `pip install` of it brings, with [grpc] and [load]
for more. The message files lie inside `signet.serving`, so that they never get into the way of a TensorFlow that is installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "LICENSE", "README.md", "signet")

sys.path.insert(0, str(ROOT))


def build(folder: Path) -> list[Path]:
    """Build the wheels and put them into the folder; gives their paths, that of the pure one first."""
    import message_files  # noqa: PLC0415  # it imports what is in ROOT

    with tempfile.TemporaryDirectory() as text:
        aside = Path(text) / "source"
        aside.mkdir()
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, aside / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
            else:
                shutil.copy(source, aside / name)
        messages = aside / "signet" / "serving" / "tensors" / "messages"
        message_files.copy(messages)
        shutil.copy(str(distribution("tensorflow").locate_file("tensorflow/include/LICENSE")), messages / "LICENSE")
        folder.mkdir(parents=True, exist_ok=True)
        names: list[str] = []
        for helper in ("no", "yes"):
            wheels = Path(text) / helper
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
            command += ["--wheel-dir", str(wheels), str(aside)]
            subprocess.run(command, check=True, env={**os.environ, "SIGNET_HELPER": helper})  # noqa: S603  # words of our own
            shutil.rmtree(aside / "build", ignore_errors=True)
            (built,) = wheels.glob("*.whl")
            shutil.copy(built, folder)
            names.append(built.name)
        return [folder / name for name in dict.fromkeys(names)]  # without a compiler both are the same


if __name__ == "__main__":
    print(*build(Path(sys.argv[1])), sep="\n")
