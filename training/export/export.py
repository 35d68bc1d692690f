"""From trained weights to `models/<name>/<version>/`, which appears whole or not at all.

    export(trained, models_dir)      models/digits/.writing-1-4711-0/   aside, in the same file system
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

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from pathlib import Path

from signet.serving.errors import SignetError
from signet.serving.models import compatibility
from signet.training.export.publish import ExportFailed, publish, versions, writing_folder

ALLOW_BREAKING = "--allow-breaking"
RTOL = 1e-4
ATOL = 1e-5


# ---- The orchestration: no TensorFlow in this process.


def export(trained: Path, models_dir: Path, *, allow_breaking: bool = False) -> Path:
    """Write, verify, publish; the folder of the new version. Raises ExportFailed, and then nothing is left behind."""
    published = models_dir / json.loads((trained / "model.json").read_bytes())["name"]
    with writing_folder(published) as folder:

        def compare() -> None:
            if not allow_breaking:
                refuse_breaking(published, folder)

        _run_child("write", str(trained), str(folder))
        compare()  # before the verification, which takes longer; and once more when nobody else can publish
        _run_child("verify", str(folder))
        return publish(folder, compare)


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
    return [sys.executable, "-m", "signet.training.export.export", *arguments]


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONHASHSEED": "0",  # nothing that is written may depend on the order of a set
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]),
    }


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
            from signet.training.export.write import write  # the children need TensorFlow

            write(first, second[0])
        else:
            from signet.training.export.verify import verify

            if problem := verify(first):
                raise ExportFailed(f"the export is not what the trained model is: {problem}; nothing was published")
    except SignetError as error:
        sys.stdout.write(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # TensorFlow, Keras and the model's own code raise what they like
        traceback.print_exc()  # for the log of whoever started this process
        sys.stdout.write(said_by(error))
        return 1
    return 0


def said_by(error: BaseException) -> str:
    """An error that nobody foresaw, as one sentence: its first line that says something; a refusal inside it as it is."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, SignetError):
            return str(inner)
        inner = inner.__cause__ or inner.__context__
    text = str(error)
    if "No space left on device" in text:
        return "the disk is full; nothing was published"
    line = first_line(text)
    return f"{type(error).__name__}: {line}; nothing was published" if line else f"{error!r}; nothing was published"


def first_line(text: str) -> str:
    """The first line that says something; Keras says first which layer it was, and in bold letters."""
    lines = (re.sub(r"\x1b\[\d*m", "", line).strip() for line in text.splitlines())
    said = (line for line in lines if line and not line.startswith(("Exception encountered", "in user code", "File ")))
    return next(said, "").rstrip(".")[:_MOST_SAID]


_MOST_SAID = 500
"""Characters of a foreign error that are passed on."""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
