"""The load of `signet load` from many machines: a swarm of Locust's workers that send the same requests.

    pip install signet_serving-…-none-any.whl locust          on each machine; `make wheel` builds the wheel
    locust -f locustfile.py --master --host http://gateway:8080 --models digits=3,question_answering --users 500 …
    locust -f locustfile.py --worker --master-host …

SIGNET_KEY in the environment of each machine is the key that requests carry, where the server asks for one.

Locust's users are closed loops: each asks again when it is answered, or --per-user times a second, whichever is later.
A stall of the server stops them too; what it does to callers who come regardless, `signet load` measures.
"""

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task

from signet.clients.client.http_client import Client
from signet.clients.client.http_messages import Request
from signet.clients.load_test.plan import bodies, mix
from signet.clients.load_test.plan.dialects import DIALECTS, HttpDialect

DEFAULT_HOST = "http://localhost:8080"
KEY = os.environ.get("SIGNET_KEY")
SHOWN = {"x-api-key": KEY} if KEY else {}
"""Headers of the requests: `Client` below shows the same key by itself."""


class Requests:
    """The requests that the users of this process send."""

    names: list[str]
    weights: list[float]
    turns: list[Iterator[Request]]

    def prepare(self, host: str, options: Any) -> None:
        """Ask the server what the models take, and make the requests."""
        dialect = DIALECTS[options.protocol]
        assert isinstance(dialect, HttpDialect), "the option has HTTP's alone"
        chance = random.Random(options.request_seed)  # noqa: S311  # no secret
        entries = mix.parse(options.models.split(","))
        self.names, self.weights, self.turns = (
            [str(entry) for entry in entries],
            [entry.weight for entry in entries],
            [],
        )
        with Client(host) as client:
            for entry in entries:
                _, requests = bodies.read(
                    entry,
                    client.describe(entry.model),
                    options.bodies,
                    Path(options.models_dir),
                    rows=options.rows,
                    size=options.size,
                    chance=chance,
                )
                self.turns.append(itertools.cycle([dialect.build(entry, None, arrays) for arrays in requests]))

    def draw(self) -> tuple[str, Request]:
        """The next request to send, with its model's name."""
        (place,) = random.choices(range(len(self.names)), self.weights)  # noqa: S311  # no secret
        return self.names[place], next(self.turns[place])


REQUESTS = Requests()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add the options of `signet load` that say what requests are made of."""
    http = [name for name, dialect in DIALECTS.items() if isinstance(dialect, HttpDialect)]
    parser.add_argument("--models", required=True, help="NAME[:SIGNATURE][=WEIGHT], several separated by commas")
    parser.add_argument("--protocol", default="v1", choices=http, help="how to ask")
    parser.add_argument("--bodies", default=bodies.AUTO, help="auto, golden, signature or a file")
    parser.add_argument("--rows", type=int, default=1, help="rows in a request")
    parser.add_argument("--size", type=int, default=16, help="of dimensions that the signature leaves open")
    parser.add_argument("--models-dir", default="models", help="where the golden examples are")
    parser.add_argument("--request-seed", type=int, default=0, help="of random values")
    parser.add_argument(
        "--per-user", type=float, default=0.0, help="requests of a user per second; 0: as many as can be"
    )


@events.test_start.add_listener
def prepare(environment: Any, **_: Any) -> None:
    """Prepare the requests on each worker, when a test starts."""
    REQUESTS.prepare(environment.host or DEFAULT_HOST, environment.parsed_options)


class Caller(FastHttpUser):
    """Sends the mix, one request after the other."""

    host = DEFAULT_HOST

    def wait_time(self) -> float:
        """Seconds until the next request."""
        per_user = self.environment.parsed_options.per_user
        return float(constant_throughput(per_user)(self)) if per_user else 0.0

    @task
    def ask(self) -> None:
        """Send one request, which is counted under the model's name."""
        name, request = REQUESTS.draw()
        headers = {"content-type": "application/json", **SHOWN, **dict(request.headers)}
        self.client.post(request.path, data=request.body, headers=headers, name=name)
