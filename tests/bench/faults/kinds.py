"""The faults, one after the other: how each begins at one of three servers, and how it ends."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
import numpy as np

from tests.bench.faults.faulty_server import predicted
from tests.bench.faults.setting import Place

FIRST_DELAY_S = 0.005
"""What every server's answers take at least, so that ten times as much is not noise."""


async def _nothing(_: Place) -> None:
    """Nothing happens."""


@dataclass(frozen=True)
class Fault:
    """How it begins and ends."""

    name: str
    begin: Callable[[Place], Awaitable[None]]
    end: Callable[[Place], Awaitable[None]] = _nothing
    hedge_after: str = ""


def _answers(change: Callable[[bytes], bytes]) -> Callable[[Place], Awaitable[None]]:
    async def begin(place: Place) -> None:
        place.relay.answer = change

    return begin


def _refuses(code: grpc.StatusCode) -> Callable[[Place], Awaitable[None]]:
    async def begin(place: Place) -> None:
        place.relay.error = code

    return begin


def _takes(seconds: float) -> Callable[[Place], Awaitable[None]]:
    async def begin(place: Place) -> None:
        place.relay.delay_s = seconds

    return begin


async def _well(place: Place) -> None:
    place.relay.answer = place.relay.error = None
    place.relay.silent = False
    place.relay.delay_s = FIRST_DELAY_S


async def _never(place: Place) -> None:
    place.relay.silent = True


async def _killed(place: Place) -> None:
    place.stop()
    place.door.cut()
    await place.door.close()


async def _restarted(place: Place) -> None:
    await place.start_program()
    await place.door.open()


async def _other_model(place: Place) -> None:
    place.stop()
    place.door.cut()
    await place.start_program("mlp")


async def _frozen(place: Place) -> None:
    place.signal(signal.SIGSTOP)
    place.door.swallows = True


async def _thawed(place: Place) -> None:
    place.signal(signal.SIGCONT)
    place.door.cut()
    place.door.swallows = False


async def _garbage(place: Place) -> None:
    place.door.says = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    place.door.cut()


async def _mute(place: Place) -> None:
    place.door.says = None
    place.door.swallows = True
    place.door.cut()


async def _talks(place: Place) -> None:
    place.door.says, place.door.swallows = None, False
    place.door.cut()


async def _parted(place: Place) -> None:
    place.door.swallows = True
    place.door.shut()


async def _together(place: Place) -> None:
    place.door.swallows = False
    await place.door.open()


async def _half_open(place: Place) -> None:
    place.door.forget()


FAULTS = (
    Fault("none", _nothing),
    Fault("killed, then restarted", _killed, _restarted),
    Fault("frozen (SIGSTOP), then goes on", _frozen, _thawed),
    Fault("ten times as slow", _takes(10 * FIRST_DELAY_S), _well),
    Fault("ten times as slow, --hedge-after p95", _takes(10 * FIRST_DELAY_S), _well, "p95"),
    Fault("refuses all: RESOURCE_EXHAUSTED", _refuses(grpc.StatusCode.RESOURCE_EXHAUSTED), _well),
    Fault("refuses all: UNAVAILABLE", _refuses(grpc.StatusCode.UNAVAILABLE), _well),
    Fault("answers calls never, polls at once", _never, _well),
    Fault("speaks no HTTP/2", _garbage, _talks),
    Fault("answers no message", _answers(lambda _: b"\xff\xfe\xfd"), _well),
    Fault("lacks an output", _answers(lambda _: predicted(other=np.ones((1, 1), np.float32))), _well),
    Fault("another dtype", _answers(lambda _: predicted(output_0=np.ones((1, 1), np.int64))), _well),
    Fault("another shape", _answers(lambda _: predicted(output_0=np.ones((1, 7), np.float32))), _well),
    Fault("accepts connections, says nothing", _mute, _talks),
    Fault("partition: connects time out", _parted, _together),
    Fault("half-open connections, new ones work", _half_open, _talks),
    Fault("restarts with another model, same name and version", _other_model),
)
