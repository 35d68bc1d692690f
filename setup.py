"""Generates the messages of `open_inference.proto` wherever the project is built; all else is in pyproject.toml.

The generated `serving/open_inference/open_inference_pb2.py` lies beside the .proto, so that an editable install finds it too.
Its types, `open_inference_pb2.pyi`, are kept in git, for type checkers to work before anything is built.
By hand, after a change of the .proto: `python setup.py build_py`.

In a checkout without symbolic links, which is what git makes on Windows unless told otherwise, there is nothing to build.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PROTO = ROOT / "signet" / "serving" / "open_inference" / "open_inference.proto"

for name in ("clients", "serving", "training"):
    if not (ROOT / "signet" / name).is_dir():
        raise SystemExit(
            f"signet/{name} is no link to the folder {name}/: clone with `git clone -c core.symlinks=true`, "
            "which Windows allows in developer mode, or install a wheel"
        )


class BuildMessages(build_py):
    """`build_py`, which every kind of install runs, after the messages have been generated."""

    def run(self) -> None:
        from grpc_tools import protoc

        status = protoc.main(["protoc", f"-I{ROOT}", f"--python_out={ROOT}", f"--pyi_out={ROOT}", str(PROTO)])
        if status:
            raise SystemExit(f"protoc ended with {status} for {PROTO}")
        super().run()


setup(cmdclass={"build_py": BuildMessages})
