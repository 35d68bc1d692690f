"""What "What changes the answer" costs: `python -m tests.bench.leaving_out`; trains question_answering, then takes seconds.

a story of 60 words ──▶ the story alone, the story and 60 with a word left out in one request, the same in 61 ──▶ times,
in turn, from behind in odd rounds ──▶ ratios to the story alone; rows a call of the model, from the metrics
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable

import httpx

from tests import servers
from tests.bench.ratios import order, paired, spread

WORDS = 60
_STEPS = (
    "Mary moved to the office. John went to the hallway. Sandra travelled to the garden. Daniel went to the kitchen. "
)
STORY = (_STEPS * 3).split()[:WORDS]
QUESTION = "Where is Mary?"
PATH = "/v1/models/question_answering:predict"

ALONE, JOINED, ONE_BY_ONE = "the story alone", "with 60 variants, one request", "with 60 variants, 61 requests"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*servers.SIGNET, "train", "question_answering", "--models-dir", folder], check=True)
        with servers.gateway("--models-dir", folder) as (url, _), httpx.Client(base_url=url, timeout=60) as client:
            measure(client, rounds)


def measure(client: httpx.Client, rounds: int) -> None:
    """Print the ratios and what the metrics say of a call."""
    rows = [_row(STORY), *(_row([*STORY[:place], *STORY[place + 1 :]]) for place in range(WORDS))]
    ways: dict[str, Callable[[], None]] = {
        ALONE: lambda: _ask(client, rows[:1]),
        JOINED: lambda: _ask(client, rows),
        ONE_BY_ONE: lambda: [_ask(client, [row]) for row in rows][-1],
    }
    times: dict[str, dict[int, float]] = {name: {} for name in ways}
    for way in ways.values():
        way()
    for number in range(rounds):
        for name in order(list(ways), number):
            began = time.perf_counter()
            ways[name]()
            times[name][number] = time.perf_counter() - began
    for name, figures in times.items():
        ratios = spread(paired(figures, times[ALONE]))
        milliseconds = 1000 * spread(list(figures.values())).median
        print(f"{name}: {milliseconds:.2f} ms, {ratios.median:.2f} times ({ratios.low:.2f} to {ratios.high:.2f})")
    before = _calls(client)
    ways[JOINED]()
    print(f"calls of the model for {len(rows)} rows in one request: {_calls(client) - before:.0f}")


def _row(words: list[str]) -> dict[str, str]:
    return {"text": " ".join(words), "question": QUESTION}


def _ask(client: httpx.Client, rows: list[dict[str, str]]) -> None:
    client.post(PATH, json={"signature_name": "from_text", "instances": rows}).raise_for_status()


def _calls(client: httpx.Client) -> float:
    """Calls of the model up to now."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("signet_batch_rows_count"))


if __name__ == "__main__":
    main()
