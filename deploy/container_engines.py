"""podman and buildah, as far as images_check.py needs them: build an image, look at it, run it, stop it.

podman isolates a container as production does. buildah runs one in a changed root only (BUILDAH_ISOLATION=chroot), which
works inside containers and on machines without namespaces; what it cannot show, it does not claim: `isolates` is False.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

HARDENED = (
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
    "--ulimit=nofile=4096:4096",  # podman's own wish, a million, is more than some machines grant
    "--ulimit=nproc=4096:4096",
)


class Failed(Exception):
    """A check that does not hold; or a command that ended badly, with its last words."""


class Container(Protocol):
    """A running one."""

    @property
    def pid(self) -> int:
        """Of the image's program, as this machine counts processes."""

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""

    def wait(self) -> int:
        """Its exit code, when it has ended by itself."""

    def is_healthy(self) -> bool:
        """What the image's HEALTHCHECK says."""

    def logs(self) -> str:
        """What it printed."""

    def remove(self) -> None:
        """End it, if it runs, and forget it."""


class Engine(Protocol):
    """Builds images and runs them."""

    isolates: bool
    """Whether a container is process 1, has a read-only root and no capability."""

    def build(self, target: str, base: str, pip_conf: Path | None, context: Path) -> None:
        """One target of the Dockerfile, as the image signet-TARGET. The docker format keeps HEALTHCHECK."""

    def configuration(self, image: str) -> dict[str, Any]:
        """User, Entrypoint, Healthcheck, Labels, …"""

    def size_bytes(self, image: str) -> int:
        """Of all layers, uncompressed."""

    def output(self, image: str, *command: str) -> str:
        """What a command in the image prints."""

    def start(
        self,
        image: str,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        writable: bool = False,
        entrypoint: Sequence[str] = (),
    ) -> Container:
        """Run the image's entry point, or another, on the host's network; folders are read-only, or all writable."""


def choose(name: str | None) -> Engine:
    """podman or buildah: the one that is named, or is here. Raises `Failed`."""
    engines: dict[str, type[Podman] | type[Buildah]] = {"podman": Podman, "buildah": Buildah}
    for candidate in [name] if name else engines:
        if shutil.which(candidate):
            return engines[candidate]()
    raise Failed(f"images-check needs {name or 'podman or buildah'}: apt-get install {name or 'podman runc'}")


def call(*command: str, both: bool = False) -> str:
    """A command's output, with the error output when `both` are wanted."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        words = f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
        raise Failed(words)
    return (done.stdout + done.stderr if both else done.stdout).strip()


def _build_options(target: str, base: str, pip_conf: Path | None) -> list[str]:
    secret = ["--secret", f"id=pip.conf,src={pip_conf}"] if pip_conf else []
    return [
        "--format=docker",
        "--layers",
        f"--build-arg=BASE={base}",
        f"--target={target}",
        f"--tag=signet-{target}",
        *secret,
    ]


# ---- podman


class Podman:
    """With the runtime that is here, and as it has to be where no systemd runs."""

    isolates = True

    def __init__(self) -> None:
        os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
        without_systemd = [] if Path("/run/systemd/system").exists() else ["--cgroup-manager=cgroupfs"]
        runtime = f"--runtime={'runc' if shutil.which('runc') else 'crun'}"
        self.command = ("podman", runtime, "--events-backend=file", *without_systemd)

    def build(self, target: str, base: str, pip_conf: Path | None, context: Path) -> None:
        call(*self.command, "build", "--pull=missing", *_build_options(target, base, pip_conf), str(context))

    def configuration(self, image: str) -> dict[str, Any]:
        found = json.loads(call(*self.command, "image", "inspect", image))[0]
        return {**found["Config"], "Healthcheck": found.get("Healthcheck") or found.get("HealthCheck")}

    def size_bytes(self, image: str) -> int:
        return int(call(*self.command, "image", "inspect", "--format={{.Size}}", image))

    def output(self, image: str, *command: str) -> str:
        return call(*self.command, "run", "--rm", *HARDENED, "--no-healthcheck", "--entrypoint=", image, *command)

    def start(
        self,
        image: str,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        writable: bool = False,
        entrypoint: Sequence[str] = (),
    ) -> Container:
        options = [f"--env={key}={value}" for key, value in (variables or {}).items()]
        options += [f"--volume={here}:{there}{'' if writable else ':ro'}" for here, there in (mounts or {}).items()]
        if entrypoint:
            options.append(f"--entrypoint={json.dumps(list(entrypoint))}")
        name = call(*self.command, "run", "--detach", *HARDENED, *options, image, *arguments)
        return PodmanContainer(self.command, name)


@dataclass(frozen=True)
class PodmanContainer:
    """Known by its id."""

    command: tuple[str, ...]
    name: str

    @property
    def pid(self) -> int:
        return int(call(*self.command, "inspect", "--format={{.State.Pid}}", self.name))

    def stop(self) -> int:
        call(*self.command, "kill", "--signal=TERM", self.name)
        return self.wait()

    def wait(self) -> int:
        return int(call(*self.command, "wait", self.name))

    def is_healthy(self) -> bool:
        return call(*self.command, "healthcheck", "run", self.name) == ""

    def logs(self) -> str:
        return call(*self.command, "logs", self.name, both=True)

    def remove(self) -> None:
        call(*self.command, "rm", "--force", "--time=1", self.name)


# ---- buildah


class Buildah:
    """Runs the image's files and user in a changed root. Its entry point and variables are read from the image."""

    isolates = False

    def __init__(self) -> None:
        os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
        os.environ.setdefault("STORAGE_DRIVER", "vfs")

    def build(self, target: str, base: str, pip_conf: Path | None, context: Path) -> None:
        # Not pulled when it is here: that base may be a stand-in which no registry has.
        call("buildah", "bud", "--pull=false", *_build_options(target, base, pip_conf), str(context))

    def configuration(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(call("buildah", "inspect", "--type=image", image))["Docker"]["config"]
        return found

    def size_bytes(self, image: str) -> int:
        container = call("buildah", "from", "--pull=false", image)
        try:
            root = Path(call("buildah", "mount", container))
            return sum(entry.lstat().st_size for entry in root.rglob("*") if entry.is_file() and not entry.is_symlink())
        finally:
            call("buildah", "rm", container)

    def output(self, image: str, *command: str) -> str:
        container = call("buildah", "from", "--pull=false", image)
        try:
            return call("buildah", "run", container, "--", *command)
        finally:
            call("buildah", "rm", container)

    def start(
        self,
        image: str,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        writable: bool = False,
        entrypoint: Sequence[str] = (),
    ) -> Container:
        settings = self.configuration(image)
        program = [*(entrypoint or settings["Entrypoint"]), *arguments]
        options = [f"--env={key}={value}" for key, value in (variables or {}).items()]
        options += [f"--volume={here}:{there}{'' if writable else ':ro'}" for here, there in (mounts or {}).items()]
        name = call("buildah", "from", "--pull=false", image)
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # the container's, until it is removed
        command = ["buildah", "run", *options, name, "--", *program]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        return BuildahContainer(name, process, log, settings["Healthcheck"]["Test"][1:], variables or {})


@dataclass(frozen=True)
class BuildahContainer:
    """The files, and the chain of processes from buildah to the image's program."""

    name: str
    process: subprocess.Popen[bytes]
    log: IO[str]
    health: list[str]
    variables: Mapping[str, str]

    @property
    def pid(self) -> int:
        pid = self.process.pid
        while children := [int(child) for file in _children(pid) for child in file.read_text().split()]:
            (pid,) = children
        return pid

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait()

    def is_healthy(self) -> bool:
        options = [f"--env={key}={value}" for key, value in self.variables.items()]
        command = ["buildah", "run", *options, self.name, "--", *self.health]
        return subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0  # noqa: S603

    def logs(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def remove(self) -> None:
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait(60)
        self.log.close()
        call("buildah", "rm", self.name)


def _children(pid: int) -> list[Path]:
    """Files with the children of each thread of a process."""
    return list(Path(f"/proc/{pid}/task").glob("*/children"))
