"""Whether this process should get traffic."""

from signet.serving.gateway.core.backend import Backend


class Health:
    """Of one gateway; /readyz, the Open Inference Protocol and gRPC's health service tell it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.draining = False
        """Whether a stop is under way."""

    @property
    def ready(self) -> bool:
        """Whether there are models, each that was declared or there at the start has been served, and no stop is under way.

        A model that comes later, and a bad later version of any, turn nobody away from the others.
        """
        return bool(self._backend.models) and not self.draining and not self._backend.unready()
