"""What a request log counts."""

from prometheus_client import CollectorRegistry, Counter

REASONS = ("large", "queue", "names", "redaction", "values", "disk", "store")
"""Why rows that were chosen are not kept: their request is too large; the writer is behind; columns of the model cannot be called
so, or redaction names none of it; values that have no column; the disk failed, or was full; too many wait for the store."""


class LogCounts:
    """The counters. Any thread counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter(
            "signet_request_log_rows_total", "Rows in files of the request log that are written.", registry=registry
        )
        self.bytes = Counter(
            "signet_request_log_bytes_total", "Bytes of files of the request log that are written.", registry=registry
        )
        self.dropped = Counter(
            "signet_request_log_dropped_total",
            f"Rows that were chosen for the request log and are not in it, by reason: {', '.join(REASONS)}.",
            ("reason",),
            registry=registry,
        )
        for reason in REASONS:
            self.dropped.labels(reason)  # at 0 from the start: a rate needs a value before the first one
