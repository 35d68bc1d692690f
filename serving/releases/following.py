"""The releases of all models, followed while a server runs: look again and again, tell what has changed.

    store ──look──▶ each model: unchanged? read ──▶ changed(releases, problems)
                                  └─ broken, unreachable: the last good one stays in force, and it is said

A release ends to be in force when its file is gone from the model's folder; not when the folder or the store is.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from signet.serving.errors import UsageError
from signet.serving.releases.files import Found
from signet.serving.releases.release import Release
from signet.serving.releases.store import ReleaseStore

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Seconds between two looks at a folder: a replica that brakes is followed by all others within two seconds."""


class ReleasesWatch:
    """Looks at the releases of some models. One thread at a time makes steps."""

    def __init__(
        self,
        store: ReleaseStore,
        models: Callable[[], Iterable[str]],
        changed: Callable[[Mapping[str, Release], Mapping[str, str]], None],
        poll_s: float = POLL_S,
    ) -> None:
        """models: the names of those that are served now. changed(releases, problems): told at the first look and whenever
        they are others. releases: model -> what is in force. problems: model -> why its file is not what is in force.
        """
        self._store, self._models, self._changed, self._poll_s = store, models, changed, poll_s
        self._found: dict[str, Found | None] = {}
        self._releases: dict[str, Release] = {}
        self._problems: dict[str, str] = {}
        self._told = False

    def step(self) -> float:
        """Look once, and tell the seconds until the next look."""
        releases: dict[str, Release] = {}
        problems: dict[str, str] = {}
        found: dict[str, Found | None] = {}
        for model in self._models():
            before = self._releases.get(model)
            try:
                found[model], release = self._look(model)
            except UsageError as error:
                found[model], release = self._found.get(model), before
                problems[model] = str(error)
            if release is not None:
                releases[model] = release
        self._found = found
        if not self._told or releases != self._releases or problems != self._problems:
            self._tell(releases, problems)
            self._changed(releases, problems)
            self._releases, self._problems, self._told = releases, problems, True
        return self._poll_s

    def _look(self, model: str) -> tuple[Found | None, Release | None]:
        before = self._found.get(model)
        found = self._store.look(model, before)
        if found is not None and found is before and model not in self._problems:
            return found, self._releases.get(model)
        return found, None if found is None else self._store.parsed(model, found)

    def _tell(self, releases: Mapping[str, Release], problems: Mapping[str, str]) -> None:
        for model, problem in problems.items():
            if problem != self._problems.get(model):
                known = releases.get(model)
                stays = f"generation {known.generation} stays in force" if known else "no release of it is known"
                log.error("the release of %r is not used: %s; %s", model, problem, stays)
        for model in releases.keys() | self._releases.keys():
            now, before = releases.get(model), self._releases.get(model)
            if now is None:
                log.info("the model %r has no release any more", model)
            elif now != before:
                log.info(
                    "the release of %r, generation %d: %s, stable version %d, candidate %s with a share of %g; by %s: %s",
                    *(model, now.generation, now.stage, now.stable, now.candidate, now.share),
                    *(now.by or "nobody", now.reason or "no reason given"),
                )
