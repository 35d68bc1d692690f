"""`signet train`: data -> fit -> evaluate -> export, for one model after the other, with one table at the end.

    train(["digits"], TrainOptions(preset="quick", models_dir=Path("models")))
      load          the module's data: files or a generator
      fit           checkpoints in .training/digits/; a rerun of the same training goes on from the last one
      evaluate      the best epoch's weights on held-out rows, beside baseline and ceiling -> metrics.json
      export        in a process of its own, while the next model is being trained (export.py)

Nothing here imports TensorFlow before it is known that there is something to train.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from signet.serving.errors import SignetError, UsageError
from signet.serving.exit_codes import ExitCode
from signet.serving.process.terminal import console
from signet.training import keras_start
from signet.training.export import export, publish, reference
from signet.training.export.errors import ExportFailed
from signet.training.export.golden import to_json
from signet.training.model import BadOption, Data, Examples, Model, Recipe, Score
from signet.training.models.registry import DATA_SETS, NAMES, models
from signet.training.options import TrainOptions
from signet.training.train_progress import ModelProgress, TrainProgress

if TYPE_CHECKING:
    from signet.training.fit import History

TABLE_WIDTH = 160
"""Columns of the table at the end where there is no terminal to fit it to."""

BACKENDS = ("tensorflow", "jax")
"""What KERAS_BACKEND may name; the export is TensorFlow's in any case."""


class Interrupted(SignetError):
    """The user has pressed Ctrl-C; the exit code is that of a program that SIGINT ends."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True)
class Trained:
    """A training that is done, apart from its export."""

    name: str
    scores: Sequence[Score]
    seconds: float
    work: Path
    export: subprocess.Popen[str]


def train(names: Sequence[str], options: TrainOptions, *, as_json: bool = False) -> None:
    """Train, evaluate and export; print what was reached: a table, or JSON beside lines of progress on standard error.

    Raises BadOption, BadData, Diverged, ExportFailed, Interrupted.
    """
    check_backend()
    names = check(names, options)
    if options.if_missing:
        names = [name for name in names if not publish.versions(options.models_dir / name)]
    if not names:
        if as_json:
            print("[]")
        return
    screen = console(stderr=as_json, soft_wrap=True, highlight=False)
    if not screen.is_terminal:
        screen.width = TABLE_WIDTH
    quiet_tensorflow()
    done: list[Trained] = []
    try:
        with contextlib.ExitStack() as locks, TrainProgress(screen) as progress:
            lines = {name: progress.add(name) for name in names}
            for name in names:
                locks.enter_context(locked(options.work(name)))  # until its export has been published
                done.append(train_one(name, options, lines[name]))
            rows = [(trained, finish(trained, lines[trained.name])) for trained in done]
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted: the same command goes on from the last whole epoch") from error
    finally:
        for trained in done:
            if trained.export.poll() is None:
                trained.export.send_signal(signal.SIGINT)
                trained.export.communicate()
    if as_json:
        print(json.dumps([_reached(trained, path) for trained, path in rows], indent=2))
    else:
        screen.print(table(rows))


def check(names: Sequence[str], options: TrainOptions) -> list[str]:
    """The names meant, each once, 'all' spelt out. Raises BadOption."""
    meant = list(dict.fromkeys(NAMES if "all" in names else names))
    unknown = [name for name in meant if name not in NAMES]
    if unknown:
        raise BadOption(
            f"there is no model called {unknown[0]!r}; the models are {', '.join(NAMES)}, or all of them: all"
        )
    if not 0 <= options.seed < 2**32:
        raise BadOption(f"--seed is a whole number from 0 to {2**32 - 1}, not {options.seed}")
    if options.epochs is not None and options.epochs < 1:
        raise BadOption(f"--epochs is a whole number from 1 on, not {options.epochs}")
    if options.patience is not None and options.patience < 0:
        raise BadOption(f"--patience is a whole number from 0 on, not {options.patience}")
    if options.data is not None and len(meant) > 1:
        raise BadOption(f"--data goes with one model, not with {len(meant)}: {', '.join(meant)}")
    known = DATA_SETS.get(meant[0], ())
    if options.data is not None and not options.data.exists() and str(options.data) not in known:
        raise BadOption(
            f"--data: there is no file or folder {options.data}" + "".join(f"; or say {name}" for name in known)
        )
    return meant


def check_backend() -> None:
    """Refuse a KERAS_BACKEND that nothing here trains with, before Keras fails to import it. Raises BadOption."""
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise BadOption(f"KERAS_BACKEND is {backend!r}; models are trained with {' or '.join(BACKENDS)}")
    if find_spec(backend) is None:
        raise BadOption(f"KERAS_BACKEND={backend} needs the package {backend}: pip install {backend}")


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up remarks off the screen, unless the user has set what to show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Keras remarks on a dict of one input for a network that was built with a list of one; both are the same to it.
    warnings.filterwarnings("ignore", message="The structure of `inputs` doesn't match")


@dataclass(frozen=True)
class Fitted:
    """A model that has learnt, and how well."""

    module: Model[Any, Any]
    data: Data[Any]
    model: Any
    """The Keras model with the best epoch's weights, in float32."""
    run: Mapping[str, Any]
    history: "History"
    scores: Sequence[Score]


def train_one(name: str, options: TrainOptions, line: ModelProgress) -> Trained:
    """One model from data to evaluation; its export is under way when this returns. The work folder is locked."""
    work = options.work(name)
    done = fitted(name, options, work, line)
    trained = work / "trained"
    trained.mkdir(exist_ok=True)
    shutil.copyfile(work / done.history.best_weights, trained / "weights.weights.h5")
    shutil.copyfile(work / "history.csv", trained / "history.csv")
    golden = {signature: to_json(inputs) for signature, inputs in done.module.golden(done.model, done.data).items()}
    write_json(trained / "model.json", {"name": name, "config": asdict(done.data.config), "golden": golden})
    write_json(trained / "metrics.json", report(done))
    reference.keep(trained, done.data.test.inputs)
    line.say("exporting")
    exporting = export.start(trained, options.models_dir, allow_breaking=options.allow_breaking)
    return Trained(name, done.scores, done.history.seconds, work, exporting)


def fitted(name: str, options: TrainOptions, work: Path, line: ModelProgress) -> Fitted:
    """Learn, going on from the checkpoint in `work` if it is this run's, and be judged. Raises BadData, Diverged."""
    line.say("starting Keras")
    keras_start.start()
    import keras

    from signet.training import devices, fit

    module = models()[name]
    line.say("preparing data")
    data = module.load(options.data, options.preset, options.seed, options.architecture)
    recipe = data.recipe or module.PRESETS[options.preset]
    recipe = replace(
        recipe,
        epochs=options.epochs or recipe.epochs,
        patience=recipe.patience if options.patience is None else options.patience,
    )
    first = data.epoch(0)
    run = identity(name, options, recipe, data, first)
    history = fit.read_history(work, run)
    steps = fit.steps_per_epoch(first.rows, recipe.batch_rows)

    keras.utils.set_random_seed(options.seed)
    with devices.precision(options.mixed_precision), devices.shared(options.distribute, recipe.batch_rows):
        model = module.build_model(data.config)
        module.compile_model(model, recipe, steps * recipe.epochs)
        if history.epochs:
            line.say(f"going on after epoch {len(history.epochs)} of {recipe.epochs}")
        line.start(recipe.epochs, steps, len(history.epochs))
        history = fit.fit(model, data, recipe, history, work, line, fit.tensorboard(options.tensorboard, name))

    line.say(f"evaluating the weights of epoch {history.best_epoch}")
    model = module.build_model(data.config)
    model.load_weights(work / history.best_weights)
    return Fitted(module, data, model, run, history, module.evaluate(model, data))


def identity(name: str, options: TrainOptions, recipe: Recipe, data: Data[Any], first: Examples) -> dict[str, Any]:
    """What makes two runs the same run, so that the one may go on where the other stopped; JSON values."""
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    return {
        "model": name,
        "preset": options.preset,
        "architecture": options.architecture,
        "seed": options.seed,
        "recipe": asdict(recipe),
        "data": fingerprint(first, data.test),
        "config": hashlib.sha256(json.dumps(asdict(data.config)).encode()).hexdigest(),
        "precision": "bfloat16" if options.mixed_precision else "float32",
        "distribute": options.distribute,
        "versions": {package: version(package) for package in dict.fromkeys(("keras", backend, "tensorflow", "numpy"))}
        | {"python": platform.python_version()},
    }


def fingerprint(*parts: Examples) -> str:
    """SHA-256 of the rows, in hexadecimal: the same rows, the same text."""
    digest = hashlib.sha256()
    for part in parts:
        for name, array in sorted((part.inputs | part.targets).items()):
            digest.update(f"{name} {array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def report(done: Fitted) -> dict[str, Any]:
    """What the export says of a training: the content of metrics.json. It holds no date."""
    run, data, history = done.run, done.data, done.history
    return {
        "format": 1,
        "model": run["model"],
        "preset": run["preset"],
        "architecture": run["architecture"],
        "seed": run["seed"],
        "recipe": run["recipe"],
        "data": {
            "source": data.source,
            "rows_per_epoch": data.epoch(0).rows,
            "held_out_rows": data.test.rows,
            "sha256": run["data"],
        },
        "scores": [asdict(score) for score in done.scores],
        "epochs": history.epochs,
        "best_epoch": history.best_epoch,
        "seconds": round(history.seconds, 1),
        "precision": run["precision"],
        "distribute": run["distribute"],
        "versions": run["versions"],
    }


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file of one line."""
    path.write_text(json.dumps(content))


@contextlib.contextmanager
def locked(work: Path) -> Iterator[None]:
    """Make the work folder, for this process alone until its export is published. Raises UsageError if another has it."""
    while True:
        try:
            work.mkdir(parents=True, exist_ok=True)
            lock = (work / "lock").open("w")
        except FileNotFoundError:
            continue  # the training that had it has just removed it
        except OSError as error:
            raise UsageError(f"cannot write checkpoints into {work}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"another training of {work.name} is at work in {work}: wait for it, or stop it, "
                    "or give this one a folder of its own with --work-dir"
                ) from error
            if not _is(lock.fileno(), work / "lock"):
                continue  # it belonged to a training that has ended meanwhile, and removed it
            yield
            return


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def finish(trained: Trained, line: ModelProgress) -> Path:
    """Wait for the export; then the checkpoints have served. The folder of the new version."""
    try:
        path = export.result(trained.export)
    except ExportFailed as error:
        raise ExportFailed(f"{trained.name}: {error}") from error
    shutil.rmtree(trained.work)
    line.end(f"exported to {path}")
    return path


def _reached(trained: Trained, path: Path) -> dict[str, Any]:
    scores = [asdict(score) for score in trained.scores]
    return {"model": trained.name, "version": str(path), "fit_s": round(trained.seconds, 1), "scores": scores}


def table(rows: Sequence[tuple[Trained, Path]]) -> Table:
    """The table of held-out figures at the end: one line a metric."""
    result = Table("model", "held-out metric", "reached", "baseline", "ceiling", "fit s", "version", box=None)
    for trained, path in rows:
        for number, score in enumerate(trained.scores):
            result.add_row(
                "" if number else trained.name,
                f"{score.output} {score.metric}",
                f"{score.value:.3f}",
                ", ".join(f"{value:.3f} {name}" for name, value in score.baselines.items()),
                "–" if score.ceiling is None else f"{score.ceiling:.3f}",
                "" if number else f"{trained.seconds:.1f}",
                "" if number else str(path),
            )
    return result
