"""The request log, as the event loop sees it: chooses requests, and hands what is kept of them to a thread.

    Exchange ──sample──▶ Sample: references ──▶ answered ──observe──▶ Record: copies ──▶ queue ──▶ writing.py ──▶ shipping.py

It never makes a request wait: beyond the bounds of the queue rows are dropped, and counted. Requests that were answered
with an error are not logged: the access log has those.
"""

import asyncio
import logging
import random
import threading
import time
from collections import deque
from pathlib import Path
from urllib.parse import quote

from signet.serving.errors import UsageError
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.request_context import RequestContext, Sample
from signet.serving.gateway.request_log import record as records
from signet.serving.gateway.request_log.drift_watch import DriftWatch
from signet.serving.gateway.request_log.record import LogPlan, Record
from signet.serving.gateway.request_log.redaction import Redaction
from signet.serving.gateway.settings import Settings
from signet.serving.models.model_store import is_address
from signet.serving.models.request_columns import OUTPUT
from signet.serving.process.supervision import REQUEST_LOG, Background, Failures
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

log = logging.getLogger(__name__)

_QUEUE_BYTES, _QUEUE_ITEMS = 64 << 20, 10_000
_LOOK_S = 0.5
"""Seconds between two looks at the queue: so much is lost when the process is killed."""
_MOST_PLANS = 1024
_CLOSE_S = 20.0
"""Seconds that the last files may take."""


class RequestLog:
    """One process's part of a request log.

    `sample` and `observe` are for the event loop, which alone writes `_put_bytes`; only the writing thread writes
    `_taken_bytes`.
    """

    def __init__(self, settings: Settings, metrics: Metrics, failures: Failures) -> None:
        """Raises `UsageError` when the folder cannot be written to, or something that this needs is not installed."""
        try:
            import pyarrow  # noqa: F401, PLC0415  # a gateway without a request log does without
        except ImportError as error:
            raise UsageError("request_log needs pyarrow: pip install 'signet-serving[request-log]'") from error
        from signet.serving.gateway.request_log import streams  # noqa: PLC0415
        from signet.serving.gateway.request_log.destination import (  # noqa: PLC0415
            Bucket,
            Destination,
            Folder,
            writable,
        )
        from signet.serving.gateway.request_log.shipping import Shipping  # noqa: PLC0415
        from signet.serving.gateway.request_log.writing import Writing  # noqa: PLC0415

        address = settings.request_log.removeprefix("file://")
        spool = settings.request_log_spool
        destination: Destination
        if is_address(address):
            destination = Bucket(address)
            spool = spool or Path.home() / ".cache" / "signet" / "request-log" / quote(address, safe="")
        else:
            destination = Folder(Path(address), settings.request_log_max_bytes)
            writable(Path(address), "request_log")
            spool = Path(address) / streams.FOLDER
        writable(spool, "request_log")
        self._chance = settings.request_log_sample
        self._redaction = Redaction(settings.redacted_columns)
        self._most_bytes = settings.request_log_request_bytes
        self._queue: deque[Record] = deque()
        self._put_bytes = self._taken_bytes = 0
        self._plans: dict[tuple[str, int, str], LogPlan] = {}
        counts = self._counts = metrics.request_log
        self._shipping = Shipping(spool, destination, settings.request_log_max_bytes, counts)
        self._shipper = Background(REQUEST_LOG, self._shipping.step, failures, "request-log-files")
        self._writing = Writing(
            spool, settings.request_log_file_bytes, settings.request_log_file_s, counts, self._shipper.wake
        )
        self._drift = DriftWatch(metrics)
        self._look_s = min(_LOOK_S, settings.request_log_file_s)
        self._writer = Background(REQUEST_LOG, self._write, failures, "request-log")

    def start(self) -> None:
        """Start the threads."""
        self._shipper.start()
        self._writer.start()

    def sample(self, lease: Lease, signature: Signature, inputs: Arrays) -> Sample | None:
        """What is noted of a request about to be answered, if chance chooses it."""
        if random.random() >= self._chance:  # noqa: S311  # nothing is to be kept secret
            return None
        plan = self._plan(lease, signature)
        return Sample(plan, inputs) if plan else None

    def observe(self, context: RequestContext, code: str, seconds: float, response_bytes: int) -> None:
        """Keep a request that was chosen, when it was answered well. An `Observer`."""
        sample = context.sample
        if sample is None or sample.plan is None or code != "OK" or sample.outputs is None:
            return
        plan: LogPlan = sample.plan
        inputs = records.visible(sample.inputs, "", plan)
        outputs = records.visible(sample.outputs, OUTPUT, plan)
        most = self._most_bytes
        nbytes = records.byte_count(inputs, most)
        if nbytes <= most:
            nbytes += records.byte_count(outputs, most - nbytes)
        rows = context.rows if plan.signature.batched else 1
        if nbytes > most:
            self._counts.dropped.labels("large").inc(rows)
            return
        held = self._put_bytes - self._taken_bytes
        if held + nbytes > _QUEUE_BYTES or len(self._queue) >= _QUEUE_ITEMS:
            self._counts.dropped.labels("queue").inc(rows)
            return
        if plan.signature.batched and any(len(array) != rows for array in (*inputs.values(), *outputs.values())):
            self._counts.dropped.labels("values").inc(rows)
            return
        self._put_bytes += nbytes
        self._queue.append(
            Record(
                plan,
                {name: records.copied(array) for name, array in inputs.items()},
                {name: records.copied(array) for name, array in outputs.items()},
                rows,
                time.time() - seconds,
                seconds,
                context.request_id,
                context.protocol,
                context.key,
                nbytes,
            )
        )
        if held > _QUEUE_BYTES // 4:
            self._writer.wake()

    async def close(self) -> None:
        """Write what waits, and make the last files."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        end = time.monotonic() + _CLOSE_S
        self._writer.stop()
        if self._writer.join(_CLOSE_S):
            self._write()
            self._writing.close()
        self._shipper.stop()
        if self._shipper.join(max(0.0, end - time.monotonic())):
            # A store that does not answer keeps its caller for minutes: the streams wait for the next gateway.
            last = threading.Thread(target=self._shipping.step, name="request-log-last-files", daemon=True)
            last.start()
            last.join(max(0.0, end - time.monotonic()))

    def _write(self) -> float:
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        self._taken_bytes += sum(record.nbytes for record in taken)
        groups = records.grouped(taken)
        self._writing.write(groups)
        self._drift.add(groups)
        return self._look_s

    def _plan(self, lease: Lease, signature: Signature) -> LogPlan | None:
        key = (lease.name, lease.version, signature.name)
        plan = self._plans.get(key)
        if plan is None or plan.signature is not signature:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = records.plan(
                lease.name, lease.version, signature, lease.signatures, lease.card, self._redaction
            )
            if plan.problem:
                log.error("no request to version %d of %s is logged: %s", lease.version, lease.name, plan.explanation)
        if plan.problem:
            self._counts.dropped.labels(plan.problem).inc()
            return None
        return plan
