"""Methods that a test's server answers, and what has become of the calls of them."""

import ast
import asyncio
import functools
from collections import Counter

from signet.serving.errors import FailedPrecondition
from signet.serving.grpc_transport.calls import Method
from signet.serving.grpc_transport.coroutine_methods import Answered, unary_handler

ends = Counter()
"""How calls of `Sleep`, `Hold` and `Endless` have ended."""


def echo(request, call):
    call.answer(request)


def meta(request, call):
    """Tells the metadata that came, and sends it back behind the answer."""
    told = [(key, value) for key, value in call.metadata if key != "user-agent"]
    call.answer(repr(told).encode(), told)


def refuse(request, call):
    """CODE details, as the caller asks for it."""
    code, _, details = request.decode().partition(" ")
    call.refuse(code, details, [("why", "asked for"), ("why-bin", b"\x00\xff"), ("grpc-retry-pushback-ms", "1500")])


def time_left(request, call):
    call.answer(repr(call.time_remaining()).encode())


def hold(request, call):
    """Never answers."""
    call.on_cancel = functools.partial(ends.update, ["hold cancelled"])


def twice(request, call):
    call.answer(b"first")
    call.answer(b"second")
    call.refuse("INTERNAL", "third")


async def sleep(request, call):
    """Answers after as many seconds as the request says."""
    try:
        await asyncio.sleep(float(request))
    except asyncio.CancelledError:
        ends["sleep cancelled"] += 1
        raise
    return Answered(b"slept", [("left", str(call.time_remaining() is not None))])


async def precondition(request, call):
    raise FailedPrecondition("grüße: 100 %\n")


async def bug(request, call):
    raise ZeroDivisionError("a bug")


async def count(requests, context):
    """0, 1, 2 … as far as the first request says; never awaits anything else."""
    for number in range(int(await anext(requests))):
        yield b"%d" % number


async def sizes(requests, context):
    """Messages of as many bytes as the request says."""
    for size in ast.literal_eval((await anext(requests)).decode()):
        yield bytes(size)


async def endless(requests, context):
    """A kilobyte, for ever."""
    try:
        while True:
            yield bytes(1024)
    finally:
        ends["endless"] += 1


async def chat(requests, context):
    """Each request back at once; `fail` fails."""
    async for request in requests:
        if request == b"fail":
            raise FailedPrecondition("as asked")
        yield request


async def total(requests, context):
    """Bytes of all requests."""
    size = 0
    async for request in requests:
        size += len(request)
    yield b"%d" % size


async def early(requests, context):
    """Answers without a look at the requests."""
    yield b"early"


SERVICES = {
    "/test.Test/Echo": Method(unary=echo),
    "/test.Test/Meta": Method(unary=meta),
    "/test.Test/Refuse": Method(unary=refuse),
    "/test.Test/TimeLeft": Method(unary=time_left),
    "/test.Test/Hold": Method(unary=hold),
    "/test.Test/Twice": Method(unary=twice),
    "/test.Test/Sleep": Method(unary=unary_handler(sleep)),
    "/test.Test/Precondition": Method(unary=unary_handler(precondition)),
    "/test.Test/Bug": Method(unary=unary_handler(bug)),
    "/test.Test/Count": Method(stream=count),
    "/test.Test/Sizes": Method(stream=sizes),
    "/test.Test/Endless": Method(stream=endless),
    "/test.Test/Chat": Method(stream=chat),
    "/test.Test/Total": Method(stream=total),
    "/test.Test/Early": Method(stream=early),
}
