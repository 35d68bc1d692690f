"""What is known of the versions of all models, and which of them are handed out: the state that threads share.

    followers, one a model ──publish, withdraw──▶ Versions ──lease──▶ a Servable, acquired      requests
                                                           ──statuses, wait──▶                  whoever asks or waits

One lock guards all of it, `_changed`. What is called replaced below is never changed in place: reading it needs no lock.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Self

from signet.serving.engine.servable import Servable
from signet.serving.errors import FailedPrecondition, InvalidInput, NotFound
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State, VersionStatus

_MAX_ENDED = 32
"""Ended versions of a model that are remembered."""


class Versions:
    """The versions of all models: what threads share, and what may be asked of it."""

    def __init__(self, models: Sequence[ModelConfig]) -> None:
        self.stopping = threading.Event()
        self.first_pass = threading.Event()
        """Set when every model has been looked at once and its first versions have loaded or failed."""
        self._changed = threading.Condition()
        self.models: Mapping[str, ModelConfig] = {model.name: model for model in models}
        """Replaced under the lock, by `declare`."""
        self._available: Mapping[str, Mapping[int, Servable]] = {name: {} for name in self.models}
        """Replaced under the lock, as a whole: by `declare` for new models, by a follower for its own."""
        self._labels: Mapping[str, Mapping[str, int]] = {model.name: model.labels for model in models}
        """Replaced under the lock, by `declare`."""
        self._statuses: dict[str, dict[int, VersionStatus]] = {name: {} for name in self.models}
        """Read and written under the lock: by a follower, and by who waits for a version's last call, for one model."""
        self.draining: frozenset[Servable] = frozenset()
        """Handed out no more, and not free yet. Replaced under the lock, by followers and who waits for last calls."""
        self._pinned: Mapping[str, Collection[int]] = {}
        """Versions that are loaded and stay so, whatever the policy says. Replaced under the lock, by `pin`."""
        self._kept_until: dict[tuple[str, int], float] = {}
        """Read and written under the lock: by `keep`, and by followers, who drop what is over."""
        self._served: set[str] = set()
        """Models that have had an available version. Written under the lock, by followers."""
        self._followed: set[str] = set()
        """Models that have a follower. Read and written under the lock: by `unfollowed`, and by a follower that ends."""
        self._unseen = set(self.models)
        """Models that were there at the start and have not been looked at. Written under the lock, by followers."""
        if not models:
            self.first_pass.set()

    def wait(self, settled: Callable[[Self], bool], timeout_s: float | None = None) -> bool:
        """Block until `settled(self)` after some change of state; False when the time is over or it stops first."""
        with self._changed:
            return (
                self._changed.wait_for(lambda: self.stopping.is_set() or settled(self), timeout_s)
                and not self.stopping.is_set()
            )

    def versions(self, name: str) -> Mapping[int, Servable]:
        """The available versions of a model; empty for an unknown one."""
        return self._available.get(name, {})

    def served(self, name: str) -> bool:
        """Whether the model has had a version that answered."""
        return name in self._served

    def keep(self, name: str, version: int, seconds: float) -> None:
        """Do not unload that version before so many seconds from now; nothing happens if it is not available."""
        if version in self.versions(name):
            with self._changed:
                self._kept_until[name, version] = time.monotonic() + seconds

    def pin(self, versions: Mapping[str, Collection[int]]) -> None:
        """Load these versions of these models beside those of the policy, as far as they are there, and unload none of them.

        They take the place of those that were named before.
        """
        with self._changed:
            self._pinned = dict(versions)

    def labelled(self, name: str, label: str) -> int:
        """The version that a label stands for. Raises `InvalidInput` for an unknown one."""
        try:
            return self._labels[name][label]
        except KeyError:
            raise InvalidInput(f"Unrecognized servable version label: {label}") from None

    def lease(self, name: str, version: int | None = None) -> Servable:
        """The given or the highest available version, acquired: the caller releases it. `NotFound` otherwise."""
        while True:
            versions = self.versions(name)
            chosen = max(versions, default=None) if version is None else version
            servable = None if chosen is None else versions.get(chosen)
            if servable is None:
                which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise NotFound(f"Servable not found for request: {which}")
            if servable.acquire():
                return servable
            time.sleep(0)  # taken out between the two lines above: look again

    def statuses(self, name: str) -> list[VersionStatus]:
        """Every known version, highest first; also those that ended. Empty for an unknown model."""
        with self._changed:
            return sorted(self._statuses.get(name, {}).values(), key=lambda status: -status.version)

    def check_labels(self, models: Sequence[ModelConfig], *, allow_unavailable: bool = False) -> None:
        """Raise `FailedPrecondition` for a label of a version that is not available now.

        allow_unavailable: a label that is not in use yet may point anywhere.
        """
        with self._changed:
            for model in models:
                self._check_labels(model, allow_unavailable)

    def declare(self, models: Sequence[ModelConfig]) -> None:
        """These models are served from now on, and no others; their labels stand for what they say."""
        with self._changed:
            self._labels = {model.name: model.labels for model in models}
            self.models = {model.name: model for model in models}
            for name in self.models:
                self._statuses.setdefault(name, {})
            self._available = {**{name: {} for name in self.models}, **self._available}

    # ---- For followers: each changes what belongs to its own model.

    def status(self, name: str, version: int) -> VersionStatus | None:
        """The status of one version; None for one that is not known."""
        with self._changed:
            return self._statuses.get(name, {}).get(version)

    def publish(self, name: str, status: VersionStatus, servable: Servable | None = None) -> None:
        """Tell a version's state; a servable is handed out from now on, in the place of the one before."""
        with self._changed:
            self._statuses.setdefault(name, {})[status.version] = status
            if servable is not None:
                self._available = {**self._available, name: {**self.versions(name), status.version: servable}}
                self._served.add(name)
            self._changed.notify_all()

    def withdraw(self, name: str, version: int) -> None:
        """Hand the version out no more: it is being unloaded."""
        with self._changed:
            self._withdraw(name, version)

    def withdraw_unpinned(self, name: str, version: int) -> bool:
        """The same, unless it is pinned by now: who has pinned a version and finds it available can rely on it."""
        with self._changed:
            if version in self.pinned(name):
                return False
            self._withdraw(name, version)
            return True

    def drain(self, servable: Servable) -> None:
        """Remember a servable that is handed out no more and waits for its last calls (graceful shutdown)."""
        with self._changed:
            self.draining |= {servable}

    def drained(self, servable: Servable) -> None:
        """Forget a servable whose last call is done and whose memory is free."""
        with self._changed:
            self.draining -= {servable}

    def unloaded(self, name: str, version: int) -> None:
        """Tell that a version's memory is free. Says nothing of a version of that number that has come meanwhile."""
        with self._changed:
            known = self._statuses.get(name, {})
            if version in known and known[version].state is State.UNLOADING:
                known[version] = VersionStatus(version, State.END)
            self._changed.notify_all()

    def pinned(self, name: str) -> set[int]:
        """Versions of a model that are loaded whatever the policy says."""
        return set(self._pinned.get(name, ()))

    def kept(self, name: str) -> set[int]:
        """Versions of a model that somebody needs, and that the policy alone would unload."""
        now = time.monotonic()
        with self._changed:
            self._kept_until = {key: until for key, until in self._kept_until.items() if until >= now}
            return {version for model, version in self._kept_until if model == name}

    def clear_unwanted_reasons(self, name: str, aspired: Iterable[int]) -> None:
        """Drop the reasons why versions are not served that nobody wants any more: it is no fault then."""
        with self._changed:
            for version, status in self._statuses[name].items():
                if status.reason and version not in aspired:
                    self._statuses[name][version] = replace(status, reason="")

    def forget(self, name: str, versions: Iterable[int], found: Iterable[int]) -> None:
        """Forget these versions, which have gone before anything came of them, and the oldest of those that ended."""
        with self._changed:
            statuses = self._statuses[name]
            for version in versions:
                statuses.pop(version, None)
            ended = sorted(version for version, status in statuses.items() if status.state is State.END)
            for version in ended[:-_MAX_ENDED]:
                if version not in found:
                    del statuses[version]
            self._changed.notify_all()

    def first_look_done(self, name: str) -> None:
        """Tell that the follower of a model has looked once, and has loaded what it found or failed."""
        with self._changed:
            if name in self._unseen:
                self._unseen.discard(name)
                if not self._unseen:
                    self.first_pass.set()
                self._changed.notify_all()

    def end_unwanted(self, name: str, *, forgotten: bool) -> bool:
        """Whether the model's follower ends, because nobody wants the model and nothing of it is handed out.

        forgotten: whether the statuses of its versions go with it.
        """
        with self._changed:
            if name in self.models or self.versions(name):
                return False
            self._followed.discard(name)
            self._available = {other: versions for other, versions in self._available.items() if other != name}
            if forgotten:
                self._statuses.pop(name, None)
                self._served.discard(name)
            self._changed.notify_all()
            return True

    def unfollowed(self) -> list[str]:
        """Models that have no follower yet; from now on they count as followed."""
        with self._changed:
            found = [name for name in self.models if name not in self._followed]
            self._followed.update(found)
            return found

    def _withdraw(self, name: str, version: int) -> None:
        """Under the lock."""
        remaining = {other: servable for other, servable in self.versions(name).items() if other != version}
        self._available = {**self._available, name: remaining}
        self._statuses.setdefault(name, {})[version] = VersionStatus(version, State.UNLOADING)
        self._changed.notify_all()

    def _check_labels(self, model: ModelConfig, allow_unavailable: bool) -> None:
        in_use = self._labels.get(model.name, {})
        for label, version in model.labels.items():
            if version in self.versions(model.name) or (allow_unavailable and label not in in_use):
                continue
            raise FailedPrecondition(
                f"Request to assign label to version {version} of model {model.name}, "
                "which is not currently available for inference"
            )
