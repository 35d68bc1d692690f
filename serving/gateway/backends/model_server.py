"""One model server behind the gateway: its channel, its calls in work, the versions and signatures it has, how it fares."""

import time
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter

from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.ejection import OutlierEjection
from signet.serving.gateway.backends.pushback import Pushback
from signet.serving.gateway.backends.remote_version import RemoteVersion
from signet.serving.gateway.backends.silence import Silence
from signet.serving.gateway.backends.slowness import Pace
from signet.serving.grpc_transport.channels import Channel, nobody
from signet.serving.models.model_status import State, VersionStatus

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"


class Attempt(Protocol):
    """A call in work."""

    def give_up(self) -> None:
        """End it as if the server had not answered."""


class ModelServer:
    """Only the event loop writes: `statuses`, `answers` and `problem` from polls, `ejection`, `pushback`, `silence` and `paces`
    from polls and calls, `config` from reloads, what it holds from `SignatureLedger` and from the channel, whose connections come
    and go."""

    def __init__(self, address: Address, connect: Callable[[Address], Channel], sent: Counter) -> None:
        self.address, self.sent = address, sent
        self._connect = connect
        self.ejection, self.pushback, self.silence = OutlierEjection(), Pushback(), Silence()
        self.paces: dict[str, Pace] = {}
        """Model -> how long its calls take here."""
        self.calls: set[Attempt] = set()
        self.statuses: dict[str, list[VersionStatus]] = {}
        """Model -> its versions as this server said last; without an entry it has not been asked."""
        self.answers = False
        """Whether this server answered its last poll."""
        self.problem = ""
        """Why it did not; empty if it did."""
        self.epoch = 0
        """How often its connection has come or gone: in another epoch another program may be there."""
        self.config = b""
        """The ReloadConfigRequest that it has taken in this epoch; empty: none is known."""
        self._held: dict[tuple[str, int], RemoteVersion] = {}
        """(model, version) -> what its metadata said in this epoch."""
        self.channel = self._channel()

    def __str__(self) -> str:
        return self.address.target

    def available(self, model: str) -> list[int]:
        """The versions of a model that this server serves."""
        return [entry.version for entry in self.statuses.get(model, ()) if entry.state is State.AVAILABLE]

    def has(self, model: str, version: int | None) -> bool:
        """Whether this server serves that version of a model, or for None any."""
        for entry in self.statuses.get(model, ()):
            if entry.state is State.AVAILABLE and (version is None or entry.version == version):
                return True
        return False

    def is_ejected(self) -> bool:
        """Whether this server is left out now; see `OutlierEjection`."""
        return self.ejection.is_ejected(time.monotonic())

    def is_out(self, now_s: float) -> bool:
        """Whether calls go to others, if there are any: it is ejected, says nothing, or refuses."""
        return self.ejection.is_ejected(now_s) or self.silence.is_quiet(now_s) or self.pushback.is_resting(now_s)

    def forget(self, model: str, version: int) -> None:
        """Note that this server said that it does not have this version."""
        self.statuses[model] = [entry for entry in self.statuses.get(model, ()) if entry.version != version]
        self.let_go(model, version)

    def holds(self, model: str, version: int) -> RemoteVersion | None:
        """What this server serves as that version; None while that is not known."""
        return self._held.get((model, version))

    def hold(self, known: RemoteVersion) -> None:
        """Note what this server's metadata says in this epoch."""
        self.let_go(known.name, known.version)
        self._held[known.name, known.version] = known
        known.holders.add(self)

    def let_go(self, model: str, version: int) -> None:
        """Note that it is not known any more what this server serves as that version."""
        known = self._held.pop((model, version), None)
        if known:
            known.holders.discard(self)

    def renew(self) -> Channel:
        """Take a new channel, as the connection may be half open; gives the old one, which is to be closed."""
        old = self.leave()
        self.channel = self._channel()
        return old

    def leave(self) -> Channel:
        """Hold nothing any more; gives the channel, which is to be closed."""
        self.channel.on_change = nobody
        self._connection_changed()
        return self.channel

    def _channel(self) -> Channel:
        channel = self._connect(self.address)
        channel.on_change = self._connection_changed
        return channel

    def _connection_changed(self) -> None:
        self.epoch += 1
        self.config = b""
        for known in self._held.values():
            known.holders.discard(self)
        self._held.clear()
