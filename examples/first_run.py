"""`make run`: the server starts at once; models that are missing are trained beside it, and answer as soon as they are exported.

    first_run.py MODELS_DIR PORT EPOCHS
      ├─ starts itself again as the teller: signet train ──lines──▶ terminal
      │                                     /readyz of the server ──▶ "digits answers now, after 21 s … curl …"
      └─ becomes `signet serve`: signals, exit code and log are its own

Ctrl-C reaches both by the terminal. When the server ends by itself the teller has the training end, which the same command
continues. A training that fails says so, and the server goes on with what there is.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

NAMES = ("digits", "question_answering", "social_posts")
"""In the order in which they are trained: the quickest first."""
SIGNET = [sys.executable, "-m", "signet"]

_LOOK_S = 0.5


def main(models_dir: Path, port: int, epochs: str) -> None:
    """Start the teller where models are missing, and become the server. epochs: empty, or what `signet train` takes."""
    missing = [name for name in NAMES if not any(models_dir.glob(f"{name}/[0-9]*/saved_model.pb"))]
    if missing:
        models_dir.mkdir(parents=True, exist_ok=True)  # the server waits for the first model in it
        tell(f"Training {_list(missing)}, one after the other; the server starts meanwhile.")
        teller = [sys.executable, __file__, str(models_dir), str(port), epochs, str(os.getpid()), *missing]
        subprocess.Popen(teller)  # noqa: S603  # this file
    serve = ["serve", "--models-dir", str(models_dir), "--http-port", str(port)]
    os.execv(sys.executable, [*SIGNET, *serve])  # noqa: S606  # nosec B606  # no shell is wanted


def train(models_dir: Path, port: int, epochs: str, server: int, missing: list[str]) -> None:
    """Train the models, and tell of each when it answers; until all do, the training has failed, or the server has ended."""
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())  # the training gets it too, and says how to go on
    began = time.monotonic()
    command = [*SIGNET, "train", *missing, "--preset", "quick", "--models-dir", str(models_dir)]
    training = subprocess.Popen(  # noqa: S603  # of our own words
        [*command, *(("--epochs", epochs) if epochs else ())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    lines = threading.Thread(target=_pass_on, args=(training.stdout,))
    lines.start()
    waiting = list(missing)
    while waiting and os.getppid() == server and training.poll() in (None, 0):
        for name in [name for name in waiting if name in served(port)]:
            waiting.remove(name)
            rest = f"waiting for {_list(waiting)}" if waiting else "all do"
            example = curl(models_dir, name, port)
            tell(f"{name} answers now, after {time.monotonic() - began:.0f} s; {rest}. Try:\n\n  {example}\n")
        time.sleep(_LOOK_S)
    if waiting and os.getppid() != server and not interrupted.is_set():
        training.send_signal(signal.SIGINT)
        interrupted.set()
    lines.join()
    training.wait()
    if waiting and not interrupted.is_set():
        tell(
            "The training has failed: the lines above say why. "
            f"The server goes on without {_list(waiting)}; `make run` begins there again."
        )


def served(port: int) -> set[str]:
    """The models that answer at the server on this machine, as far as it says so."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:  # nosec B310
            state = json.load(answer)
    except urllib.error.HTTPError as error:  # not all answer yet
        state = json.load(error)
    except (OSError, ValueError):  # it does not listen yet, or speaks TLS
        return set()
    return set(state["models"]) - set(state["missing"])


def curl(models_dir: Path, name: str, port: int) -> str:
    """A command that asks the model."""
    from signet.serving.gateway.openapi.examples import curl_commands  # noqa: PLC0415  # takes as long as a training's start

    return "".join(curl_commands(models_dir, [name], f"http://localhost:{port}"))


def tell(text: str) -> None:
    """Write lines at once: server and training write to the same terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _pass_on(lines: IO[str]) -> None:
    for line in lines:
        tell(line.rstrip("\n"))


def _list(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


if __name__ == "__main__":
    folder, number, count, *told = sys.argv[1:]
    if told:
        train(Path(folder), int(number), count, int(told[0]), told[1:])
    else:
        main(Path(folder), int(number), count)
