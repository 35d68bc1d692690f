"""From trained weights to `models/<name>/<version>/`, which appears whole or not at all.

    export(trained, models_dir)      models/digits/.writing-1-4711-0/   aside, in the same file system
      write   in a fresh process       saved_model.pb, variables/       named signatures, through tf.Module
              (write.py)               assets.extra/golden.json         inputs and what the Keras model answers to them
                                       assets.extra/metrics.json        what training reported
                                       assets.extra/tf_serving_warmup_requests, example_requests, model.png, history.png
      compare                        callers of the newest version could go on with this one, or are meant to be broken
      verify  in another               loaded as a server loads it: golden examples, rows, padding, operations
              (verify.py)              assets.extra/model-card.json, model-card.md
      publish                        models/digits/1/                   fsync, rename, fsync

`trained` is a folder: model.json (name, config, golden inputs), weights.weights.h5, metrics.json; or of a model made
elsewhere model.json alone, with the path of a Keras file (any_keras.py). The export rebuilds the model from it, so it
does not matter which process or Keras backend trained it; fresh processes because layer names count up in a process and
would change the bytes. They are forked off one that has imported TensorFlow, which nobody else does (steps.py). The graph
is always traced without GPU: a cuDNN LSTM would run nowhere else.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from signet.serving.models import compatibility
from signet.training.export.errors import ExportFailed
from signet.training.export.publish import publish, versions, writing_folder
from signet.training.export.steps import Steps, command, environment

ALLOW_BREAKING = "--allow-breaking"


def export(
    trained: Path, models_dir: Path, *, allow_breaking: bool = False, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Write, verify, publish; the folder of the new version. Raises ExportFailed, and then nothing is left behind.

    say: told what is done next, each of which takes seconds.
    """
    published = models_dir / json.loads((trained / "model.json").read_bytes())["name"]
    with writing_folder(published) as folder, Steps() as steps:  # which are over before the folder is removed

        def compare() -> None:
            if not allow_breaking:
                refuse_breaking(published, folder)

        say("starting TensorFlow, reading the model and writing the SavedModel")
        steps.run("write", str(trained), str(folder))
        compare()  # before the verification, which takes longer; and once more when nobody else can publish
        say("loading it as a server does, comparing the answers")
        steps.run("verify", str(folder))
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
        command("export", str(trained), str(models_dir), *([ALLOW_BREAKING] if allow_breaking else [])),
        env=environment(),
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
