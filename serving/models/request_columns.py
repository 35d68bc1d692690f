"""What files of a request log hold, for those who write and those who read them.

    MODEL/VERSION/SIGNATURE-TIME-PROCESS-NUMBER.parquet, a row for each row that was answered
      pixels           an input, by its own name, as `signet score` looks for it
      output.digit     an output
      request.time …   what is known of the request: `FACTS`

The file's metadata says of which model, version and signature its rows are, so that those of several are never mixed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

OUTPUT, REQUEST = "output.", "request."
FACTS = ("time", "id", "model", "version", "signature", "protocol", "key", "seconds", "row")
"""Of each row, under `REQUEST`: when its request came (UTC), its id, what answered, by which protocol and for whose key, the
seconds to its answer, and the row's place in the request."""
METADATA = b"signet.request_log"
_FORMAT = 1


@dataclass(frozen=True, order=True)
class Logged:
    """Of which calls the rows of a file are."""

    model: str
    version: int
    signature: str

    def metadata(self) -> dict[bytes, bytes]:
        """The entry in the file's metadata."""
        return {METADATA: json.dumps({"format": _FORMAT, **asdict(self)}).encode()}


def of_metadata(metadata: Mapping[bytes, bytes] | None) -> Logged | None:
    """What a file's metadata says; None for one that no request log has written."""
    text = (metadata or {}).get(METADATA)
    if text is None:
        return None
    try:
        content = json.loads(text)
        return Logged(str(content["model"]), int(content["version"]), str(content["signature"]))
    except (ValueError, KeyError, TypeError):
        return None
