"""One model server behind the gateway: its channel, its calls in work, the versions it has."""

import time
from typing import Protocol

from prometheus_client import Counter

from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.ejection import OutlierEjection
from signet.serving.grpc_transport.channels import Channel
from signet.serving.models.model_status import State, VersionStatus

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


class Attempt(Protocol):
    """A call in work."""

    def give_up(self) -> None:
        """End it as if the server had not answered."""


class ModelServer:
    """Only the event loop writes: `statuses` and `answers` from polls, `ejection` from polls and calls."""

    def __init__(self, address: Address, channel: Channel, sent: Counter) -> None:
        self.address, self.channel, self.sent = address, channel, sent
        self.ejection = OutlierEjection()
        self.calls: set[Attempt] = set()
        self.statuses: dict[str, list[VersionStatus]] = {}
        """Model -> its versions as this server said last; without an entry it has not been asked."""
        self.answers = False
        """Whether this server answered its last poll."""

    def __str__(self) -> str:
        return self.address.target

    def available(self, model: str) -> list[int]:
        """The versions of a model that this server serves."""
        return [entry.version for entry in self.statuses.get(model, ()) if entry.state is State.AVAILABLE]

    def has(self, model: str, version: int | None) -> bool:
        """Whether this server serves that version of a model, or for None any."""
        versions = self.available(model)
        return bool(versions) if version is None else version in versions

    def is_ejected(self) -> bool:
        """Whether this server is left out now; see `OutlierEjection`."""
        return self.ejection.is_ejected(time.monotonic())

    def forget(self, model: str, version: int) -> None:
        """Note that this server said that it does not have this version."""
        self.statuses[model] = [entry for entry in self.statuses.get(model, ()) if entry.version != version]
