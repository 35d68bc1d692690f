"""What a worker does with a body or answer that is a table or a form; see `pool.py`.

body ──decode──▶ named arrays          outputs ──encode──▶ the body of the answer          Arrow, Parquet ──rows──▶ JSON

Arrow and Parquet are read nowhere else: a malformed body can end the process that reads it.
"""

from collections.abc import Mapping

from signet.serving.json_arrays.non_finite import NonFinite
from signet.serving.tables import csv_text, form_parts
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

FORM, CSV, ARROW, PARQUET = "form", "csv", "arrow", "parquet"


def decode(
    form: str, body: bytes, parameter: str, signature: Signature, fill: PaddingRule | None, most_bytes: int
) -> Arrays:
    """The inputs of a body. form: what it is. parameter: the Content-Type of a form, the charset of CSV.

    most_bytes: of Arrow's columns, decoded. Raises `InvalidInput` and `TooLarge`.
    """
    if form == FORM:
        return form_parts.read(body, parameter, signature, fill)
    if form == CSV:
        return csv_text.read(body, parameter, signature, fill)
    from signet.serving.tables import arrow_bodies  # noqa: PLC0415  # pyarrow, which takes a third of a second

    return arrow_bodies.read(body, form, signature, fill, most_bytes)


def encode(form: str, outputs: Arrays, specs: Mapping[str, TensorSpec], non_finite: NonFinite) -> bytes:
    """The outputs as CSV, Arrow or Parquet. Raises `InvalidInput` for those that it cannot hold."""
    if form == CSV:
        return csv_text.written(outputs, specs, non_finite)
    from signet.serving.tables import arrow_bodies  # noqa: PLC0415

    return arrow_bodies.written(outputs, form, specs)


def rows(form: str, body: bytes, most_rows: int, most_bytes: int) -> bytes:
    """The rows of an Arrow or Parquet body as JSON. most_bytes: of its columns, decoded. Raises `InvalidInput` and `TooLarge`."""
    from signet.serving.tables import arrow_rows  # noqa: PLC0415

    return arrow_rows.read(body, form, most_rows, most_bytes)
