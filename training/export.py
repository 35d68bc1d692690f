"""From trained weights to `models/<name>/<version>/`, which appears whole or not at all.

    export(trained, models_dir)      models/digits/.writing-1-4711/     aside, in the same file system
      write   in a fresh process       saved_model.pb, variables/       named signatures, through tf.Module
              (export_write.py)        assets.extra/golden.json         inputs and what the Keras model answers to them
                                       assets.extra/metrics.json        what training reported
                                       assets.extra/tf_serving_warmup_requests, model.png, history.png
      compare                        callers of the newest version could go on with this one, or are meant to be broken
      verify  in another               loaded as a server loads it: golden examples, rows, padding, operations
              (export_verify.py)       assets.extra/model-card.json, model-card.md
      publish                        models/digits/1/                   fsync, rename, fsync

`trained` is a folder: model.json (name, config, golden inputs), weights.weights.h5, metrics.json; or of a model made
elsewhere model.json alone, with the path of a Keras file (export_foreign.py). The export rebuilds the model from it, so it
does not matter which process or Keras backend trained it; fresh processes because layer names count up in a process and
would change the bytes. The graph is always traced without GPU: a cuDNN LSTM would run nowhere else.
TensorFlow is imported in the two child processes only.
"""

import base64
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from serving import compatibility
from serving.errors import SignetError
from training.model import Array, Arrays

ALLOW_BREAKING = "--allow-breaking"
RTOL = 1e-4
ATOL = 1e-5


class ExportFailed(SignetError):
    """Nothing was published."""


# ---- The orchestration: no TensorFlow in this process.


def versions(folder: Path) -> list[int]:
    """The published versions in `models/<name>`, in order."""
    if not folder.is_dir():
        return []
    return sorted(
        int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal() and (entry / "saved_model.pb").is_file()
    )


def export(trained: Path, models_dir: Path, *, allow_breaking: bool = False) -> Path:
    """Write, verify, publish; the folder of the new version. Raises ExportFailed, and then nothing is left behind."""
    name = json.loads((trained / "model.json").read_bytes())["name"]
    with writing_folder(models_dir / name) as folder:
        _run_child("write", str(trained), str(folder))
        if not allow_breaking:
            refuse_breaking(models_dir / name, folder)
        _run_child("verify", str(folder))
        return publish(folder)


def refuse_breaking(published: Path, folder: Path) -> None:
    """Raise ExportFailed if callers of the newest version in `published` could not go on with the one in `folder`."""
    numbers = versions(published)
    old = compatibility.read(published / str(numbers[-1])) if numbers else None
    new = compatibility.read(folder)
    if old is None or new is None:
        return
    broken = [change.text for change in compatibility.changes(old, new) if change.breaking]
    if broken:
        raise ExportFailed(
            f"callers of version {numbers[-1]} would break: {'; '.join(broken)}; nothing was published "
            "(--allow-breaking publishes it all the same)"
        )


def start(trained: Path, models_dir: Path, *, allow_breaking: bool = False) -> subprocess.Popen[str]:
    """`export` in a process of its own, so that the next training need not wait. SIGINT ends it and leaves nothing."""
    return subprocess.Popen(  # noqa: S603
        _command("export", str(trained), str(models_dir), *([ALLOW_BREAKING] if allow_breaking else [])),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(child: subprocess.Popen[str]) -> Path:
    """Wait for what `start` started: the folder of the new version. Raises ExportFailed."""
    stdout, stderr = child.communicate()
    if child.returncode == 0:
        return Path(stdout)
    raise ExportFailed(stdout or f"the export ended with code {child.returncode}: {stderr.strip()[-2000:]}")


def _run_child(*arguments: str) -> None:
    child = subprocess.run(_command(*arguments), env=_environment(), capture_output=True, text=True, check=False)  # noqa: S603
    if child.returncode:
        message = child.stdout or f"{arguments[0]} ended with code {child.returncode}: {child.stderr.strip()[-2000:]}"
        raise ExportFailed(message)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training.export", *arguments]


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONHASHSEED": "0",  # nothing that is written may depend on the order of a set
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }


def next_version(folder: Path) -> int:
    """One more than the highest number in `models/<name>`, whatever is in it."""
    return max((int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()), default=0) + 1


@contextlib.contextmanager
def writing_folder(parent: Path) -> Iterator[Path]:
    """An empty folder beside the versions, locked while this process lives; gone at the end unless it was published."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_stale(parent)
    folder = parent / f".writing-{next_version(parent)}-{os.getpid()}"
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError):
            parent.rmdir()  # a model without a version would keep servers from being ready


def remove_stale(parent: Path) -> None:
    """Remove what dead processes left half-written: the kernel gave back their locks."""
    for folder in parent.glob(".writing-*"):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def publish(folder: Path) -> Path:
    """Give a finished folder its version number. Servers poll the parent and load any number they see."""
    for path in [*folder.rglob("*"), folder]:
        _fsync(path)
    while True:
        target = folder.parent / str(next_version(folder.parent))
        try:
            folder.rename(target)
        except OSError:
            if target.exists():  # another export was quicker: versions never change, take the next number
                continue
            raise
        _fsync(folder.parent)
        return target


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- Golden examples: JSON that inputs and answers are compared by.


def to_json(arrays: Arrays) -> dict[str, Any]:
    """Named arrays as JSON values: bytes as {"b64": "…"}, as in TensorFlow Serving's dialect.

    A float32 with the fewest digits that give it back, whole numbers without a point.
    """
    return {name: _plain(array if array.dtype == np.float32 else array.tolist()) for name, array in arrays.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.float32):
        return int(value) if value == np.rint(value) and abs(value) < 1e6 else float(str(value))
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def from_json(value: Any, dtype: Any) -> Array:
    """One array of `to_json`'s."""
    array = np.asarray(value, dtype)
    if array.dtype == object:
        for place, item in np.ndenumerate(array):
            array[place] = base64.b64decode(item["b64"]) if isinstance(item, dict) else item
    return array


def difference(answers: Arrays, example: dict[str, Any]) -> str | None:
    """Where answers are not what a golden example expects: which output, and by how much; None where they agree."""
    if set(answers) != set(example["outputs"]):
        return f"the outputs are {sorted(answers)}, not {sorted(example['outputs'])}"
    for name, answer in answers.items():
        problem = _difference(answer, example["outputs"][name], example["rtol"], example["atol"])
        if problem:
            return f"output {name!r} {problem}"
    return None


def _difference(answer: Array, due: Any, rtol: float, atol: float) -> str | None:
    expected = from_json(due, object) if answer.dtype == object else np.asarray(due)
    if answer.shape != expected.shape:
        return f"has shape {answer.shape}, not {expected.shape}"
    if answer.dtype == object:
        pairs = [(_text(got), _text(want)) for got, want in zip(answer.flat, expected.flat, strict=True)]
        wrong = [pair for pair in pairs if pair[0] != pair[1]]
        if wrong:
            return f"is {wrong[0][0]!r}, not {wrong[0][1]!r}, in {len(wrong)} of {answer.size} values"
    elif not np.allclose(answer, expected, rtol, atol, equal_nan=True):
        largest = float(np.max(np.abs(answer.astype(float) - expected)))
        return f"differs by up to {largest:.3g} (rtol {rtol:g}, atol {atol:g})"
    return None


def _text(value: str | bytes) -> str | bytes:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def main(step: str, *arguments: str) -> int:
    """`export TRAINED MODELS_DIR [--allow-breaking]`, `write TRAINED FOLDER` or `verify FOLDER`.

    Exit code 1 with a sentence on stdout.
    """
    if sys.platform == "linux":  # do not outlive the training that asked for it; an export removes its folder first
        ctypes.CDLL(None).prctl(1, signal.SIGINT if step == "export" else signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    first, *second = (Path(argument) for argument in arguments if argument != ALLOW_BREAKING)
    try:
        if step == "export":
            sys.stdout.write(str(export(first, second[0], allow_breaking=ALLOW_BREAKING in arguments)))
        elif step == "write":
            from training.export_write import write  # the children need TensorFlow

            write(first, second[0])
        else:
            from training.export_verify import verify

            if problem := verify(first):
                raise ExportFailed(f"the export is not what the trained model is: {problem}; nothing was published")
    except SignetError as error:
        sys.stdout.write(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
