"""A predict of TensorFlow Serving's REST dialect whose body or answer is something else than JSON: a form, CSV, Arrow, Parquet.

    body, Content-Type ──▶ InferenceRequest ──▶ Exchange ──▶ {"predictions": …}, CSV, Arrow or Parquet, as Accept says

What is small and no Arrow is read in the event loop; all else by a worker, which dies alone where a body makes it.
"""

from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import quote

from signet.serving.errors import InvalidInput
from signet.serving.gateway.core.inference import Decoded, InferenceRequest, LeasedSignature
from signet.serving.gateway.http import body_types
from signet.serving.gateway.http.body_types import JSON, Sent
from signet.serving.gateway.http.pipeline import Answer
from signet.serving.gateway.http.v1 import PredictExchange, request_from_path
from signet.serving.http import decompression
from signet.serving.offload import large_bodies, table_bodies
from signet.serving.offload.pool import Died
from signet.serving.offload.table_bodies import ARROW, CSV, PARQUET
from signet.serving.rest_dialect.json_codec import Layout, PredictBody
from signet.serving.tables import columns
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

_SMALL_BYTES = 1 << 14
"""Bodies of less are read in the event loop: a form or CSV of this size takes about a millisecond."""
_SMALL_ELEMENTS = 1 << 13

_CONTENT_TYPES = {
    CSV: b"text/csv; charset=utf-8; header=present",
    ARROW: body_types.NAMES[ARROW].encode(),
    PARQUET: body_types.NAMES[PARQUET].encode(),
}


class TablesExchange(PredictExchange):
    """A predict with any body and any answer."""

    _sent = Sent(JSON)
    _wanted = JSON
    _signature: Signature | None = None
    """The one that is asked, once it is known."""
    _content = b""
    _beyond_bytes = 0
    """What is counted of the budget beside the body's own bytes."""

    def read(self, body: bytes) -> InferenceRequest | Awaitable[InferenceRequest]:
        headers = self.http_request.headers
        self._wanted = body_types.wanted(headers.get(b"accept"))
        self._sent = body_types.sent(headers.get(b"content-type"), body)
        if self._sent.form == JSON:
            return super().read(body)
        asked = body_types.options(self.http_request.path)
        self._content = body
        self._body = PredictBody(
            asked.signature_name,
            Layout.ROWS,
            None,
            False,
            asked.output_filter,
            asked.named_outputs,
            asked.non_finite,
        )
        return request_from_path(self.match, self.http_request, asked.signature_name)

    def decode(self, leased: LeasedSignature) -> Decoded | Awaitable[Decoded]:
        self._signature = signature = leased.signature
        body = self._body
        if self._sent.form == JSON or body is None:
            return super().decode(leased)
        if not columns.have_rows([*signature.inputs.values(), *signature.outputs.values()]):
            self._body = body = body._replace(layout=Layout.COLUMNS)
        form, parameter = self._sent
        most_bytes = min(
            self.services.max_body_bytes,
            max(decompression.FREE_BYTES, decompression.MAX_RATIO * len(self._content)),
        )
        arguments = (form, self._content, parameter, signature, leased.padding, most_bytes)
        if len(self._content) >= _SMALL_BYTES or form in (ARROW, PARQUET):
            return self._decode_elsewhere(arguments, body.output_filter, leased)
        try:
            return table_bodies.decode(*arguments), body.output_filter
        except InvalidInput as error:
            raise hinted(error, leased.lease.signatures, signature) from error

    async def _decode_elsewhere(
        self, arguments: tuple[Any, ...], wanted: tuple[str, ...], leased: LeasedSignature
    ) -> Decoded:
        try:
            arrays = await self.services.offload.call(table_bodies.decode, *arguments)
        except Died as error:
            if not error.by_fault:
                raise
            raise InvalidInput(
                f"the body is malformed as {body_types.NAMES[self._sent.form]}: the process that read it has crashed"
            ) from error
        except InvalidInput as error:
            raise hinted(error, leased.lease.signatures, leased.signature) from error
        self._count(sum(array.nbytes for array in arrays.values()))
        return arrays, wanted

    def encode(self, outputs: Arrays) -> Answer | Awaitable[Answer]:
        if self._wanted == JSON:
            return super().encode(outputs)
        assert self._signature is not None, "it was decoded for"
        assert self._body is not None, "it was read"
        specs = {name: self._signature.outputs[name] for name in outputs}
        arguments = (self._wanted, outputs, specs, self._body.non_finite)
        if self._wanted == CSV and large_bodies.elements(outputs) < _SMALL_ELEMENTS:
            return self._answer(table_bodies.encode(*arguments))
        return self._encode_elsewhere(arguments)

    async def _encode_elsewhere(self, arguments: tuple[Any, ...]) -> Answer:
        return self._answer(await self.services.offload.call(table_bodies.encode, *arguments))

    def hint(self) -> str:
        return super().hint() if self._sent.form == JSON else ""

    def close(self) -> None:
        super().close()
        self._count(0)

    def _count(self, nbytes: int) -> None:
        """Note in the budget how much the body has become, beyond its own size."""
        beyond = max(0, nbytes - self.bytes)
        self.services.budget.change(beyond - self._beyond_bytes)
        self._beyond_bytes = beyond

    def _answer(self, body: bytes) -> Answer:
        return Answer(body, b"Content-Type: %b\r\n" % _CONTENT_TYPES[self._wanted])


def hinted(error: InvalidInput, signatures: Mapping[str, Signature], asked: Signature) -> InvalidInput:
    """The error, with the signature that takes as strings, such as files, what this one takes as numbers."""
    if type(error) is not InvalidInput:
        return error
    for name, other in signatures.items():
        strings = [spec.dtype is not None and spec.dtype.is_string for spec in other.inputs.values()]
        if other.input_names == asked.input_names and all(strings) and other.inputs != asked.inputs:
            same = f"Signature {name!r} takes these inputs as strings: ?signature_name={quote(name, safe='')}"
            return InvalidInput(f"{error}. {same}")
    return error
