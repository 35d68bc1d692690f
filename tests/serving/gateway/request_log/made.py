"""What the tests of the request log share: records of made-up signatures, and files read back as `signet score` reads them."""

from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from signet.clients.score.formats import Format
from signet.clients.score.input import reading, sources
from signet.clients.score.input.arrow_rows import ArrowRows
from signet.clients.score.input.chunk import Position
from signet.clients.score.plan import Plan, mapping
from signet.serving.gateway.observability.request_log_counts import LogCounts
from signet.serving.gateway.request_log import streams
from signet.serving.gateway.request_log.destination import Folder
from signet.serving.gateway.request_log.record import Record, grouped, plan
from signet.serving.gateway.request_log.redaction import Redaction
from signet.serving.gateway.request_log.shipping import Shipping
from signet.serving.gateway.request_log.writing import Writing
from signet.serving.models import model_card
from signet.serving.tensors.dtypes import ROWS
from signet.serving.tensors.signature import Signature, TensorSpec

BY_NAME = {row.name: row for row in ROWS}


def spec(name: str, dtype: str, shape: Any) -> TensorSpec:
    return TensorSpec(name, BY_NAME[dtype], shape, "")


def signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> Signature:
    """Each by name: dtype and shape."""
    made = [{name: spec(name, *given) for name, given in tensors.items()} for tensors in (inputs, outputs)]
    return Signature("serving_default", *made)


def a_plan(given: Signature, redact: str = "", model: str = "m"):
    patterns = [pattern for pattern in redact.split(",") if pattern]
    return plan(model, 3, given, {given.name: given}, model_card.NONE, Redaction(patterns))


def record(made, inputs, outputs, rows, number=0) -> Record:
    return Record(made, inputs, outputs, rows, 1e9 + number, 0.25, f"id-{number}", "v1", "bob", 100)


def write_log(folder: Path, records: list[Record]) -> None:
    """Files of a request log with these records, one for each of their kinds."""
    spool = folder / streams.FOLDER
    spool.mkdir(parents=True, exist_ok=True)
    counts = LogCounts(CollectorRegistry())
    writer = Writing(spool, 1 << 30, 1e9, counts, lambda: None)
    writer.write(grouped(records))
    writer.close()
    Shipping(spool, Folder(folder, 1 << 40), 1 << 40, counts).step()


def scored(path: Path, given: Signature) -> list[dict[str, np.ndarray]]:
    """The inputs of each row of a Parquet file, as `signet score` makes them for a request."""
    (source,) = sources.expand([str(path)], "")
    job = Plan(given, mapping([], given), None, "", False, Format("parquet"))
    found = []
    for chunk in reading.read((source,), Position(), 1000):
        rows = ArrowRows(chunk, job)
        placed = {}
        for places, arrays in rows.groups():
            for index, place in enumerate(places):
                placed[place] = {name: array[index] for name, array in arrays.items()}
            assert not rows.bad, rows.bad
        found += [placed[place] for place in sorted(placed)]
    return found
