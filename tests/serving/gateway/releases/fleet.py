"""Real replicas that share a folder of models, and callers who ask them all the time.

    replicas(folder, 4) ──▶ Fleet: `signet serve` four times ──kill, begin──▶ one of them anew, at the same port
    fleet.asked("m")    ──▶ threads ──V1, V2, gRPC──▶ Asked.answers: which version answered whom, and when

Versions are those of `times_models`: y = version x, so that an answer itself tells the version.
"""

import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from signet.serving.releases.release import Release
from signet.serving.releases.store import ReleaseStore
from signet.serving.tensors.arrays import from_proto, to_proto
from signet.serving.tensors.protos import predict_pb2, prediction_service_pb2_grpc
from tests import servers

ERROR_S = 0.01
"""Seconds after which one who was not answered asks again."""
AWAY = "nobody answers"
"""The problem of a request that found no replica, or whose replica was killed."""


@dataclass
class Answer:
    """What came of a request."""

    begun: float
    """When it was sent, by `time.time`, as logs tell it."""
    replica: int
    key: str
    protocol: str
    version: int | None = None
    problem: str = ""


class Caller:
    """One who asks one replica by one protocol, on one connection."""

    def __init__(self, url: str, grpc_address: str, replica: int, protocol: str) -> None:
        self.replica, self.protocol = replica, protocol
        self._send: Callable[[str, str, float], tuple[int, int]] = {
            "V1": self._v1,
            "V2": self._v2,
            "gRPC": self._grpc,
        }[protocol]
        self._http = HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._channel = grpc.insecure_channel(grpc_address) if protocol == "gRPC" else None

    def close(self) -> None:
        self._http.close()
        if self._channel:
            self._channel.close()

    def ask(self, model: str, key: str, x: float = 1.0) -> Answer:
        """Send a request of a caller's."""
        answer = Answer(time.time(), self.replica, key, self.protocol)
        try:
            answer.version, computed = self._send(model, key, x)
        except (OSError, HTTPException):
            self._http.close()
            answer.problem = AWAY
        except grpc.RpcError as error:
            lost = (
                "failed to connect",
                "Socket closed",
                "Connection reset",
                "recvmsg",
                "Broken pipe",
                "Stream removed",
            )
            details = str(error.details())
            answer.problem = AWAY if any(words in details for words in lost) else f"{error.code()}: {details}"
        except Refused as error:
            answer.problem = str(error)
        else:
            if computed != answer.version * x:
                answer.problem = f"version {answer.version} says {computed}"
        return answer

    def _posted(self, path: str, key: str, body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        self._http.request("POST", path, json.dumps(body), {"X-Signet-Key": key})
        response = self._http.getresponse()
        content = response.read()
        if response.status != 200:
            raise Refused(f"{response.status}: {content.decode()}")
        return json.loads(content), response.headers["X-Signet-Model-Version"]

    def _v1(self, model: str, key: str, x: float) -> tuple[int, int]:
        answer, version = self._posted(f"/v1/models/{model}:predict", key, {"inputs": {"x": [x]}})
        return int(version or 0), answer["outputs"][0]

    def _v2(self, model: str, key: str, x: float) -> tuple[int, int]:
        inputs = [{"name": "x", "datatype": "FP32", "shape": [1], "data": [x]}]
        answer, _ = self._posted(f"/v2/models/{model}/infer", key, {"inputs": inputs})
        return int(answer["model_version"]), answer["outputs"][0]["data"][0]

    def _grpc(self, model: str, key: str, x: float) -> tuple[int, int]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.inputs["x"].CopyFrom(to_proto(np.array([x], np.float32)))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        answer = stub.Predict(request, timeout=60, metadata=[("x-signet-key", key)])
        return answer.model_spec.version.value, float(from_proto(answer.outputs["y"])[0])


class Refused(Exception):
    """An error was answered."""


@dataclass
class Asked:
    """What came of all requests so far. Each thread adds to it."""

    answers: list[Answer] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def versions(self, since: int = 0) -> set[int]:
        """Those that have answered, from an answer on."""
        return {answer.version for answer in self.answers[since:] if answer.version is not None}

    def problems(self) -> set[str]:
        """What went wrong."""
        return {answer.problem for answer in self.answers if answer.problem}


@dataclass
class Replica:
    """One `signet serve`, and how it was begun."""

    url: str
    grpc_address: str
    running: servers.Program


class Fleet:
    """Replicas that share a folder."""

    def __init__(self, folder: Path, stack: ExitStack, environment: dict[str, str]) -> None:
        self.folder, self.store, self.replicas = folder, ReleaseStore(folder), list[Replica]()
        self.gaps: list[tuple[int, float, float]] = []
        """When a replica was away: its number, from when it was killed until it was ready again."""
        self._stack, self._environment = stack, environment

    def begin(self, count: int) -> None:
        """Start so many more at once, and wait until they answer."""
        starting = [self._started((servers.free_port(), servers.free_port())) for _ in range(count)]
        self.replicas += [ready(ports, running) for ports, running in starting]

    def kill(self, number: int) -> None:
        """As an out-of-memory killer does."""
        process = self.replicas[number].running.process
        self.gaps.append((number, time.time(), math.inf))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def begin_again(self, number: int, doomed: int = 0) -> None:
        """Start one that has ended, at the same ports; doomed: it is killed before that call of the system in a write."""
        there = self.replicas[number]
        ports = (int(there.url.rpartition(":")[2]), int(there.grpc_address.rpartition(":")[2]))
        self.replicas[number] = ready(*self._started(ports, doomed))
        servers.wait_until(lambda: servers.get(f"{there.url}/readyz").status_code == 200, 60, "readiness")
        gap = self.gaps.pop()
        self.gaps.append((number, gap[1], time.time()))

    def problems(self, asked: Asked) -> set[str]:
        """What went wrong, but where a replica was away."""
        return {
            answer.problem for answer in asked.answers if answer.problem not in ("", AWAY) and not self._in_gap(answer)
        }

    def _in_gap(self, answer: Answer) -> bool:
        return any(who == answer.replica and begun <= answer.begun <= end for who, begun, end in self.gaps)

    def follows(self, release: Release) -> None:
        """Wait until each replica follows that generation, and has what it names."""
        for replica in self.replicas:
            servers.wait_until(lambda url=replica.url: follows(url, release), 60, f"generation {release.generation}")

    def caller(self, number: int, protocol: str = "V1") -> Caller:
        return Caller(self.replicas[number].url, self.replicas[number].grpc_address, number, protocol)

    @contextmanager
    def asked(
        self,
        model: str,
        protocols: tuple[str, ...] = ("V1", "V2", "gRPC"),
        x: Callable[[int], float] = lambda number: 1.0,
        pause_s: float = 0.02,
    ) -> Iterator[Asked]:
        """Callers of each replica by each protocol, a new key with each request. x: of a caller's request of this number."""
        asked = Asked()

        def ask(replica: int, protocol: str) -> None:
            with closing(self.caller(replica, protocol)) as caller:
                number = 0
                while not asked.stopping.is_set():
                    answer = caller.ask(model, f"{replica}-{protocol}-{number}", x(number))
                    asked.answers.append(answer)
                    number += 1
                    asked.stopping.wait(pause_s if not answer.problem else ERROR_S)

        threads = [
            threading.Thread(target=ask, args=(number, protocol))
            for number in range(len(self.replicas))
            for protocol in protocols
        ]
        for thread in threads:
            thread.start()
        try:
            yield asked
        finally:
            asked.stopping.set()
            for thread in threads:
                thread.join()

    def _started(self, ports: tuple[int, int], doomed: int = 0) -> tuple[tuple[int, int], servers.Program]:
        command = (
            [sys.executable, "-m", "tests.serving.releases.killed", "--at", str(doomed)] if doomed else servers.SIGNET
        )
        words = ["serve", "--models-dir", str(self.folder), "--http-port", str(ports[0]), "--host", "127.0.0.1"]
        environment = {"SIGNET_GRPC_PORT": str(ports[1]), "SIGNET_DRAIN_S": "0", **self._environment}
        return ports, self._stack.enter_context(servers.started([*command, *words], environment))


def ready(ports: tuple[int, int], running: servers.Program) -> Replica:
    """A replica, once it answers."""
    running.read_until(r"Signet is (ready )?at http://", 120)
    return Replica(f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", running)


def told(url: str, model: str) -> dict[str, Any]:
    """What a replica knows of a release."""
    (replica,) = servers.get(f"{url}/v1/models/{model}/release").json()["replicas"]
    return dict(replica)


def follows(url: str, release: Release) -> bool:
    """Whether a replica follows a generation and has what that names."""
    known = told(url, release.model)
    needed = {release.stable, release.candidate if release.open else None} - {None}
    return known["release"] is not None and (
        (known["release"]["generation"], known["release"]["salt"]) == (release.generation, release.salt)
        and needed <= set(known["available"])
    )


@contextmanager
def replicas(folder: Path, count: int, poll_s: float = 0.1) -> Iterator[Fleet]:
    """So many that serve a folder. poll_s: seconds between two looks at the files."""
    with ExitStack() as stack:
        fleet = Fleet(folder, stack, {"SIGNET_POLL_S": str(poll_s), "SIGNET_RELEASE_CHECK": "false"})
        fleet.begin(count)
        yield fleet
