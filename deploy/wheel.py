"""Build the wheel of Signet: `python deploy/wheel.py FOLDER`, which is `make wheel`.

    sources + TensorFlow's message files in signet/serving/tensors/messages/ ──build──▶ FOLDER/signet_serving-….whl

It is pure Python and needs no TensorFlow: the clients run on what `pip install` of it brings, with [grpc] and [load]
for more. The message files lie inside `signet.serving`, so that they never get into the way of a TensorFlow that is installed.
"""

import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "LICENSE", "README.md", "signet")

sys.path.insert(0, str(ROOT))


def build(folder: Path) -> Path:
    """Build the wheel and put it into the folder; gives its path."""
    import message_files  # noqa: PLC0415  # it imports what is in ROOT

    with tempfile.TemporaryDirectory() as text:
        aside = Path(text) / "source"
        aside.mkdir()
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, aside / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, aside / name)
        messages = aside / "signet" / "serving" / "tensors" / "messages"
        message_files.copy(messages)
        shutil.copy(str(distribution("tensorflow").locate_file("tensorflow/include/LICENSE")), messages / "LICENSE")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", text, str(aside)], check=True)  # noqa: S603  # words of our own
        (built,) = Path(text).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(built, folder / built.name))


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
