"""The versions of all served models: found on disk, loaded, replaced, unloaded, while requests go on.

    base path/           policy            plan                     states
      1/ 2/ 3/  ──scan──▶ aspired: {3} ──▶ load 3, then unload 2 ──▶ LOADING AVAILABLE UNLOADING END

One manager thread does all this; loading releases the interpreter lock. Rules are TensorFlow Serving's: a new version
is loaded beside the old one, which is unloaded only when an aspired one is ready; a version that failed is tried again
only when its folder has gone and come back; a base path that cannot be read changes nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from serving.engine.loading import Loader
from serving.engine.servable import Servable
from serving.errors import FailedPrecondition, InvalidInput, NotFound, ServingError
from serving.model_config import ModelConfig
from serving.model_status import State, VersionStatus

log = logging.getLogger(__name__)

_MAX_ENDED = 32
"""Ended versions of a model that are remembered."""


def scan(base_path: Path) -> dict[int, Path]:
    """Versions on disk: children whose name is a number. Raises OSError when the folder cannot be read.

    {7: base_path/7}; `007` is version 7 too, and of two names of one number the first in order is used.
    """
    found: dict[int, Path] = {}
    for child in sorted(base_path.iterdir()):
        if child.name.isascii() and child.name.isdecimal() and int(child.name) < 1 << 63:
            found.setdefault(int(child.name), child)
    return found


class Repository:
    """Loads and unloads versions as folders come and go; hands out those that are available."""

    def __init__(
        self,
        models: Sequence[ModelConfig],
        *,
        poll_s: float = 1.0,
        load_retries: int = 0,
        retry_interval_s: float = 60.0,
        load: Callable[[str, int, Path], Servable] | None = None,
    ) -> None:
        """poll_s: seconds between two looks at the folders; 0 looks once, below 0 never. load: default: a `Loader`."""
        self.models = {model.name: model for model in models}
        self._poll_s, self._load_retries, self._retry_interval_s = poll_s, load_retries, retry_interval_s
        self._load = load or Loader()
        self._available: Mapping[str, Mapping[int, Servable]] = {name: {} for name in self.models}
        self._statuses: dict[str, dict[int, VersionStatus]] = {name: {} for name in self.models}
        self._labels: Mapping[str, Mapping[str, int]] = {model.name: model.labels for model in models}
        self._failed: set[tuple[str, int]] = set()
        self._kept_until: dict[tuple[str, int], float] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._look = threading.Event()
        self.first_pass = threading.Event()
        """Set when every model has been looked at once and its first versions have loaded or failed."""
        self._thread = threading.Thread(target=self._manage, name="repository", daemon=True)

    def start(self) -> None:
        """Look and load in the background; `wait` tells what came of it."""
        self._thread.start()

    def stop(self) -> None:
        """Unload everything; waits for the calls that are running."""
        self._stopping.set()
        self._look.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        for name, versions in self._available.items():
            for servable in list(versions.values()):
                self._unload(name, servable)

    def wait(self, settled: Callable[["Repository"], bool], timeout_s: float | None = None) -> bool:
        """Block until `settled(self)` after some change of state; False when the time is over or it stops first."""
        with self._changed:
            return (
                self._changed.wait_for(lambda: self._stopping.is_set() or settled(self), timeout_s)
                and not self._stopping.is_set()
            )

    def versions(self, name: str) -> Mapping[int, Servable]:
        """The available versions of a model; empty for an unknown one."""
        return self._available.get(name, {})

    def configure(self, models: Sequence[ModelConfig], *, allow_unavailable_labels: bool = False) -> None:
        """Serve these models from now on, and no others; returns at once, `wait` tells what came of it.

        Raises `FailedPrecondition`, and loads nothing, for a label of a version that is not available now. With
        `allow_unavailable_labels` a label that is not in use yet may point anywhere.
        """
        with self._changed:
            self._labels = {model.name: self._checked_labels(model, allow_unavailable_labels) for model in models}
            self.models = {model.name: model for model in models}
            for name in self.models:
                self._statuses.setdefault(name, {})
                self._available = {**self._available, name: self._available.get(name, {})}
        self._look.set()

    def keep(self, name: str, version: int, seconds: float) -> None:
        """Do not unload that version before so many seconds from now; nothing happens if it is not available."""
        if version in self.versions(name):
            self._kept_until[name, version] = time.monotonic() + seconds

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

    def _manage(self) -> None:
        with ThreadPoolExecutor(max_workers=max(1, min(8, len(self.models)))) as pool:
            list(pool.map(self._refresh, self.models.values()))  # the first loads go side by side
        self.first_pass.set()
        while not self._stopping.is_set():
            self._look.wait(self._poll_s if self._poll_s > 0 else None)
            self._look.clear()
            if self._stopping.is_set():
                return
            for name in set(self._available) - set(self.models):
                for servable in list(self.versions(name).values()):
                    self._unload(name, servable)
            for model in list(self.models.values()):
                self._refresh(model)

    def _refresh(self, model: ModelConfig) -> None:
        """One look at a model's folder and what follows from it."""
        if self._poll_s < 0:
            return
        try:
            found = scan(model.base_path)
        except OSError as error:
            log.error("cannot read the versions of model %r: %s", model.name, error)
            return
        aspired = model.policy.choose(set(found))
        self._forget_vanished(model.name, set(found))
        for version in sorted(aspired, reverse=True):
            if self.may_load(model.name, version):
                self._bring_up(model.name, version, found[version])
        loaded = self.versions(model.name)
        if not aspired or aspired & set(loaded):
            for version in sorted(set(loaded) - aspired - self._kept(model.name)):
                self._unload(model.name, loaded[version])

    def _kept(self, name: str) -> set[int]:
        """Versions of a model that somebody needs, and that the policy alone would unload."""
        now = time.monotonic()
        kept = set()
        for (model, version), until in list(self._kept_until.items()):
            if until < now:
                self._kept_until.pop((model, version), None)
            elif model == name:
                kept.add(version)
        return kept

    def may_load(self, name: str, version: int) -> bool:
        """New here, or at its end and wanted again; a version that failed only when its folder has gone meanwhile."""
        status = self._statuses[name].get(version)
        return status is None or (status.state is State.END and (name, version) not in self._failed)

    def _forget_vanished(self, name: str, found: set[int]) -> None:
        """A failed version whose folder has gone may be tried again when it comes back."""
        with self._changed:
            self._failed -= {
                (name, version) for model, version in self._failed if model == name and version not in found
            }
            self._changed.notify_all()
            statuses = self._statuses[name]
            ended = sorted(version for version, status in statuses.items() if status.state is State.END)
            for version in ended[:-_MAX_ENDED]:
                if version not in found:
                    del statuses[version]

    def _checked_labels(self, model: ModelConfig, allow_unavailable: bool) -> Mapping[str, int]:
        in_use = self._labels.get(model.name, {})
        for label, version in model.labels.items():
            if version in self.versions(model.name) or (allow_unavailable and label not in in_use):
                continue
            raise FailedPrecondition(
                f"Request to assign label to version {version} of model {model.name}, "
                "which is not currently available for inference"
            )
        return model.labels

    def _bring_up(self, name: str, version: int, path: Path) -> None:
        status = VersionStatus(version, State.LOADING)
        self._publish(name, status)
        for attempt in range(self._load_retries + 1):
            started = time.monotonic()
            try:
                servable = self._load(name, version, path)
            except ServingError as error:
                log.error("loading version %d of model %r failed: %s", version, name, error)
                status = replace(status, error_code=error.grpc_code, error_message=str(error))
            except Exception as error:  # a bug here must not end the thread that all models depend on
                log.exception("loading version %d of model %r failed", version, name)
                status = replace(status, error_code="INTERNAL", error_message=f"{type(error).__name__}: {error}")
            else:
                log.info("loaded version %d of model %r in %.2f s", version, name, time.monotonic() - started)
                available = {**self._available[name], version: servable}
                self._publish(name, VersionStatus(version, State.AVAILABLE), available)
                return
            if attempt < self._load_retries and self._stopping.wait(max(0.0, self._retry_interval_s)):
                break
        self._failed.add((name, version))
        self._publish(name, replace(status, state=State.END))

    def _unload(self, name: str, servable: Servable) -> None:
        """Out of the lookup first; its memory goes when the last running call is done."""
        remaining = {version: other for version, other in self._available[name].items() if other is not servable}
        self._publish(name, VersionStatus(servable.version, State.UNLOADING), remaining)
        servable.close()
        servable.closed.wait()
        log.info("unloaded version %d of model %r", servable.version, name)
        self._publish(name, VersionStatus(servable.version, State.END))

    def _publish(self, name: str, status: VersionStatus, available: Mapping[int, Servable] | None = None) -> None:
        with self._changed:
            self._statuses[name][status.version] = status
            if available is not None:
                # Replaced as a whole: `lease` reads it without a lock.
                self._available = {**self._available, name: available}
            self._changed.notify_all()
