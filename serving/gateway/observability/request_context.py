"""The request context: what is known of an inference request while it is answered, and by when it has to be.

    an `Exchange` is one ──▶ its steps fill it in ──▶ metrics and statistics are told with it

Its deadline is the earliest of the gateway's own limit and whatever the caller says.
"""

import time
from collections.abc import Callable
from typing import Any

from signet.serving.errors import DeadlineExceeded, ServingError
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_span import RequestSpan, Stage
from signet.serving.tensors.arrays import Arrays
from signet.serving.tracing.trace_context import TraceContext


class RequestContext:
    """The context of one inference request, in whichever protocol. Only the event loop writes it."""

    # Fields that most requests leave as they are, or that are set late, are class attributes until then: a request has
    # some thirty, and to set all of them would cost as much as to read a small body.
    model = UNKNOWN
    """What answers the request; `unknown` until it is known that there is such a thing."""
    version = UNKNOWN
    signature = UNKNOWN
    parse_s: float | None = None
    """Seconds that this and the other stages of `metrics.STAGES` took; None for one that has not been reached."""
    decode_s: float | None = None
    queue_s: float | None = None
    """Seconds that the request waited in the batcher's queue, which are part of `run_s`."""
    run_s: float | None = None
    encode_s: float | None = None
    limited = False
    """Whether its caller has set a deadline."""
    bytes = 0
    """Bytes of the request's body or message."""
    rows = 1
    request_id = ""
    """What the request is called in its answer and in logs: what its caller has sent, or a new one."""
    caller = ""
    """Who asks, as fairness tells callers apart: by the key, else by the address."""
    peer_address = ""
    """Of the caller, where nothing else knows it: `address` tells."""
    trace: TraceContext | None = None
    """The trace that it belongs to; None where its caller names none and it is not recorded."""
    span: RequestSpan | None = None
    """What is noted of it for the trace; None where it is not recorded."""
    routed: str | None = None
    """The key by which chance has chosen its version, where a release splits the requests; None: nothing was left to chance."""
    identity: Any = None
    """The key that its caller has shown, as `access/identity.py` has it; None without keys."""
    error: ServingError | None = None
    """What it was answered with, if that is an error."""
    sample: "Sample | None" = None
    """What a request log wants of it, if it was chosen."""
    share: Any = None
    """What the caller has in work of the model, while the request is: admission's `Caller`."""

    def __init__(self, protocol: str, timeout_s: float) -> None:
        """timeout_s: seconds from now that answering may take, whatever the caller says."""
        self.protocol = protocol
        self.started = started = time.perf_counter()
        self.deadline = started + timeout_s
        """When the answer is due, by the clock of `time.perf_counter`."""

    def described(self, code: str) -> tuple[str, dict[str, str | int | float | bool]]:
        """What it is called in traces, and what is said of it there, by OpenTelemetry's names. code: of its answer."""
        return self.protocol, {}

    def stages(self) -> list[Stage]:
        """Those that it has been through."""
        return []

    def address(self) -> str:
        """Where its caller is, as `process/ports.py` tells callers apart."""
        return self.peer_address

    @property
    def key(self) -> str:
        """The name of the key that its caller has shown; empty without keys."""
        return self.identity.name if self.identity is not None else ""

    def limit(self, timeout_s: float | None) -> None:
        """Note the caller's own limit in seconds from the start of the request, if there is one: the shorter holds."""
        if timeout_s is not None:
            self.limited = True
            self.deadline = min(self.deadline, self.started + timeout_s)

    def left_s(self) -> float:
        """The seconds until the deadline. Raises `DeadlineExceeded` when there are none."""
        left_s = self.deadline - time.perf_counter()
        if left_s <= 0:
            raise self.over()
        return left_s

    def over(self) -> DeadlineExceeded:
        """The error for a request whose deadline has passed."""
        seconds = time.perf_counter() - self.started
        return DeadlineExceeded(f"the request timed out after {seconds:.1f} seconds")


class Sample:
    """What a request log may keep of a request, or a candidate be shown: nothing is copied until it has been answered."""

    __slots__ = ("copy", "inputs", "outputs", "plan")

    def __init__(self, plan: Any, inputs: Arrays) -> None:
        """plan: the request log's own; None: it does not want the request."""
        self.plan, self.inputs = plan, inputs
        self.copy: Any = None
        """What a candidate is to be shown of it, as `gateway/releases` has it."""
        self.outputs: Arrays | None = None
        """Before they are encoded; None for a request that had no answer of its own."""


Observer = Callable[[RequestContext, str, float, int], None]
"""observer(request, code, seconds, response_bytes) is told of a request that has been answered, in the event loop: it returns
within microseconds and raises nothing. code: OK or a gRPC code's name."""
