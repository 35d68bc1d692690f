"""Unary handlers of coroutine functions, for methods that wait for something: a task a call.

request bytes ──▶ task: await method(request, call) ──▶ bytes, or Answered ──▶ call.answer
                    ▲                              └──▶ ServingError       ──▶ call.refuse
                    └── cancelled when the caller has left, or its time is over
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from signet.serving.errors import ServingError
from signet.serving.grpc_transport.calls import Call, Metadata, StreamContext, UnaryHandler

log = logging.getLogger(__name__)


class Answered(NamedTuple):
    """An answer that brings metadata behind it."""

    message: bytes
    trailing: Metadata


CoroutineMethod = Callable[[bytes, Call], Coroutine[Any, Any, bytes | Answered]]
"""method(request, call) gives the answer; a `ServingError` that it raises becomes the status."""


def unary_handler(method: CoroutineMethod, identity: Callable[[StreamContext], str] = lambda _: "") -> UnaryHandler:
    """A handler that runs the method in a task, which is cancelled when nobody waits for its answer any more.

    identity: gives the id of a call's request; empty: none.
    """
    tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no task alive

    def handle(request: bytes, call: Call) -> None:
        call.request_id = identity(call)
        task = asyncio.get_running_loop().create_task(_run(method, request, call))
        call.on_cancel = task.cancel
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return handle


async def _run(method: CoroutineMethod, request: bytes, call: Call) -> None:
    try:
        answered = await method(request, call)
    except ServingError as error:
        call.refuse(error.grpc_code, str(error))
    except Exception as error:  # its caller is told of a bug too
        log.exception("a call failed")
        call.refuse("UNKNOWN", f"Unexpected {type(error)}: {error}")
    else:
        if isinstance(answered, Answered):
            call.answer(answered.message, answered.trailing)
        else:
            call.answer(answered)
