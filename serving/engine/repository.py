"""The versions of all served models: found on disk, loaded, replaced, unloaded, while requests go on.

    base path/           policy            plan                     states
      1/ 2/ 3/  ──scan──▶ aspired: {3} ──▶ load 3, then unload 2 ──▶ LOADING AVAILABLE UNLOADING END

A thread for each model does this (`following.py`), so that none waits for another; what they find is in `versions.py`.
Loading releases the interpreter lock. A new version is loaded beside the old one, which is unloaded only when an aspired
one is ready; a base path that cannot be read changes nothing.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from signet.serving.engine.following import Follower, Rules
from signet.serving.engine.loading import Loader
from signet.serving.engine.servable import Servable
from signet.serving.engine.versions import Versions
from signet.serving.models.model_config import ModelConfig
from signet.serving.process.supervision import Failures

_STOP_S = 30.0
"""Seconds that a stop waits for loads and calls that do not end."""


class Repository(Versions):
    """Loads and unloads versions as folders come and go; hands out those that are available."""

    def __init__(
        self,
        models: Sequence[ModelConfig],
        *,
        poll_s: float = 1.0,
        rules: Rules | None = None,
        load: Callable[[str, int, Path], Servable] | None = None,
        failures: Failures | None = None,
    ) -> None:
        """poll_s: seconds between two looks at the folders; 0 looks once, below 0 never. load: default: a `Loader`."""
        super().__init__(models)
        self._poll_s, self._rules, self._load = poll_s, rules or Rules(), load or Loader()
        self._failures = failures or Failures()
        self._followers: list[Follower] = []
        """Replaced by `start` and `configure`, which one thread calls at a time, and only read by others."""

    def start(self) -> None:
        """Look and load in the background; `wait` tells what came of it."""
        self._follow()

    def stop(self) -> None:
        """Unload everything; waits for the calls that are running, but not for ever."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()
        for follower in self._followers:
            follower.stop()
        deadline = time.monotonic() + _STOP_S
        for follower in self._followers:
            follower.join(max(0.0, deadline - time.monotonic()))
        leaving = [(name, servable) for name in self._available for servable in self.versions(name).values()]
        for name, servable in leaving:
            self.withdraw(name, servable.version)
            servable.close()
        for name, servable in leaving:
            if servable.closed.wait(max(0.0, deadline - time.monotonic())):
                self.unloaded(name, servable.version)
        for servable in self.draining:
            servable.closed.wait(max(0.0, deadline - time.monotonic()))
        self.first_pass.set()  # whoever waits for it need not any more

    def configure(self, models: Sequence[ModelConfig], *, allow_unavailable_labels: bool = False) -> None:
        """Serve these models from now on, and no others; returns at once, `wait` tells what came of it.

        Raises `FailedPrecondition`, and loads nothing, for a label of a version that is not available now. With
        `allow_unavailable_labels` a label that is not in use yet may point anywhere.
        """
        self.check_labels(models, allow_unavailable=allow_unavailable_labels)
        self.switch(models)

    def switch(self, models: Sequence[ModelConfig]) -> None:
        """As `configure`, for labels that have been checked."""
        self.declare(models)
        self.look()
        self._follow()

    def pin(self, versions: Mapping[str, Collection[int]]) -> None:
        """As `Versions.pin`, and look at once."""
        super().pin(versions)
        self.look()

    def look(self) -> None:
        """Look at the folders of all models at once."""
        for follower in self._followers:
            follower.wake()

    def _follow(self) -> None:
        """Start a follower for each model that has none."""
        fresh = [
            Follower(self, name, self._load, self._rules, self._poll_s, self._failures) for name in self.unfollowed()
        ]
        self._followers = [follower for follower in self._followers if follower.alive] + fresh
        for follower in fresh:
            follower.start()
