"""Builds what is made of other files wherever the project is built; all else is in pyproject.toml.

    open_inference.proto ──protoc──▶ open_inference_pb2.py           its messages
    number_nests.c ──C compiler──▶ _number_nests.so                  reads numbers in JSON; where there is no compiler
                                                                     that can, Python does without, with the same results

The generated `serving/open_inference/open_inference_pb2.py` lies beside the .proto, so that an editable install finds it too.
Its types, `open_inference_pb2.pyi`, are kept in git, for type checkers to work before anything is built.
By hand, after a change of the .proto: `python setup.py build_py`.

The helper lies beside its source only for an editable install. It uses neither Python nor a C library: one file does for each
Python on a kind of machine. A wheel with it is named for that kind; SIGNET_HELPER=no leaves it out, and the wheel is for any.
CC names the compiler.

In a checkout without symbolic links, which is what git makes on Windows unless told otherwise, there is nothing to build.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PROTO = ROOT / "signet" / "serving" / "open_inference" / "open_inference.proto"
HELPER = Path("signet", "serving", "json_arrays", "number_nests.c")
LIBRARY = "_number_nests.so"
COMPILERS = ("cc", "gcc", "clang")
COMPILE = ("-std=c11", "-O3", "-fPIC", "-shared", "-ffreestanding", "-nostdlib", "-s")

for name in ("clients", "serving", "training"):
    if not (ROOT / "signet" / name).is_dir():
        raise SystemExit(
            f"signet/{name} is no link to the folder {name}/: clone with `git clone -c core.symlinks=true`, "
            "which Windows allows in developer mode, or install a wheel"
        )


@cache
def compiled() -> bytes | None:
    """The helper; None where it is not wanted, or nothing here compiles it."""
    if os.environ.get("SIGNET_HELPER") == "no":
        return None
    found = os.environ.get("CC") or next(filter(shutil.which, COMPILERS), None)
    if found is None:
        print("no C compiler is here: the helper that reads numbers in JSON is left out", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / LIBRARY
        try:
            command = [*shlex.split(found), *COMPILE, "-o", str(library), str(HELPER)]
            subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603  # words of our own, and CC
            return library.read_bytes()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"the helper that reads numbers in JSON is left out: {error}", file=sys.stderr)
            return None


class Build(build_py):
    """`build_py`, which every kind of install runs, with the messages before it and the helper after it."""

    def run(self) -> None:
        from grpc_tools import protoc

        status = protoc.main(["protoc", f"-I{ROOT}", f"--python_out={ROOT}", f"--pyi_out={ROOT}", str(PROTO)])
        if status:
            raise SystemExit(f"protoc ended with {status} for {PROTO}")
        super().run()
        library = (ROOT if self.editable_mode else Path(self.build_lib)) / HELPER.with_name(LIBRARY)
        helper = compiled()
        library.unlink(missing_ok=True)  # written anew, never over: a program may have it in use
        if helper is not None:
            library.write_bytes(helper)
            library.chmod(0o755)


class Signet(Distribution):
    """What is built: for machines of one kind when the helper is in it."""

    def has_ext_modules(self) -> bool:
        return compiled() is not None


class Wheel(bdist_wheel):
    """`bdist_wheel`, for each Python 3: the helper uses none of its interfaces."""

    def get_tag(self) -> tuple[str, str, str]:
        *_, platform = super().get_tag()
        return "py3", "none", platform


setup(distclass=Signet, cmdclass={"build_py": Build, "bdist_wheel": Wheel})
