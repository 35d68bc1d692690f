"""Readiness: whether this process should get traffic. /readyz, V2 and gRPC's health service tell it."""

from signet.serving.gateway.core.backend import Backend


class Readiness:
    """The readiness of one gateway. Any thread may read it; only the main event loop writes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.draining = False
        """Whether a graceful shutdown is under way; once true it stays so."""

    @property
    def ready(self) -> bool:
        """Whether there are models, each that was declared or there at the start has been served, and no stop is under way.

        A model that comes later, and a bad later version of any, turn nobody away from the others.
        """
        return bool(self._backend.models) and not self.draining and not self._backend.unready()
