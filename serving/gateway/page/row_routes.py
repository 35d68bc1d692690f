"""The rows of files that no browser can read, for the page's table.

POST /v1/models/NAME/rows    an Arrow stream or file, or a Parquet file ──▶ {"columns": […], "rows": [{…}], "left_out": […]}

A worker reads them, as it reads such bodies of predict. The page then asks with them as with those of any other file: so rows
keep what is no input, such as an id, and a bad one spoils no other.
"""

import asyncio

from fastapi import APIRouter, Request, Response

from signet.serving.errors import DeadlineExceeded, InvalidInput, Overloaded, TooLarge, UnknownType
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.http import body_types, compression
from signet.serving.gateway.http.responses import fails, gives
from signet.serving.offload import table_bodies
from signet.serving.offload.pool import Died, Offload
from signet.serving.offload.table_bodies import ARROW, PARQUET

MOST_ROWS = 10_000
MOST_BYTES = 1 << 24
"""Of a file, and of what is in it once decoded."""
_MOST_DECODED = 1 << 26
_MOST_WAITING = 8
"""Files that are read or wait for it: they are read one after another, as large bodies of predict need the workers, too."""

_ROWS = gives("FileRows", "All of them") | fails(400, 404, 413, 415, 429, 500, 503, 504)


def create_router(inference: Inference, offload: Offload) -> APIRouter:
    """The routes of one gateway."""
    router = APIRouter(tags=["service"])
    files = _Files(offload, inference.timeout_s)

    @router.post("/v1/models/{model:name}/rows", name="rows", responses=_ROWS)
    async def rows(request: Request, model: str) -> Response:
        """The rows of a Parquet file or of Arrow, as JSON.

        The body is `application/vnd.apache.parquet` or `application/vnd.apache.arrow.stream`, at most 16 MiB with 10,000 rows;
        nothing is asked of the model. Columns that are no numbers, texts, times or lists are left out, and named.
        """
        inference.check_declared(model)
        sent = {name.lower(): value for name, value in request.headers.raw}
        unpacked = compression.decompressed(await request.body(), sent, MOST_BYTES)
        body = unpacked if isinstance(unpacked, bytes) else await unpacked
        if len(body) > MOST_BYTES:
            raise TooLarge(f"the file has {len(body):,} bytes; here it may have {MOST_BYTES:,}")
        form = body_types.sent(sent.get(b"content-type"), body).form
        if form not in (ARROW, PARQUET):
            raise UnknownType(f"expected {body_types.NAMES[PARQUET]} or {body_types.NAMES[ARROW]}; this is {form}")
        return Response(await files.rows(form, body), media_type="application/json")

    return router


class _Files:
    """Has the files of one gateway's callers read, each in its turn and time. All fields belong to the event loop."""

    def __init__(self, offload: Offload, timeout_s: float) -> None:
        self._offload, self._timeout_s = offload, timeout_s
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def rows(self, form: str, body: bytes) -> bytes:
        """The rows as JSON. Raises `Overloaded`, `DeadlineExceeded`, and as `table_bodies.rows` does."""
        if self._waiting >= _MOST_WAITING:
            raise Overloaded(f"{self._waiting} files wait to be read; try again in a few seconds")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s), self._turn:
                return await self._offload.call(table_bodies.rows, form, body, MOST_ROWS, _MOST_DECODED)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the file was not read within {self._timeout_s:g} seconds") from error
        except Died as error:
            if not error.by_fault:
                raise
            raise InvalidInput("the file is malformed: the process that read it has crashed") from error
        finally:
            self._waiting -= 1
