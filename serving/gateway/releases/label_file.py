"""TensorFlow Serving's labels `stable` and `canary` follow a release, for those who ask model servers without a gateway.

    versions that releases need ──▶ model_version_policy ──▶ models.config ──HandleReloadConfigRequest──▶ all servers load them
    each server serves one      ──▶ version_labels       ──▶ models.config ──HandleReloadConfigRequest──▶ its label moves

A server refuses a configuration with a label of a version that it does not serve, and loads nothing of it. So a label moves one
look after its version is served by all; until then it stays where it is, and what it stands for stays loaded. Any number of
processes can do this to one file: it says the same to all, and is replaced only by who has seen what is there.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from google.protobuf import text_format

from signet.serving.errors import UsageError
from signet.serving.gateway.releases.routing import CANARY, STABLE
from signet.serving.models import small_file
from signet.serving.models.model_config_text import Change, changed, labels_of
from signet.serving.process.supervision import RELEASES, Failures
from signet.serving.releases.files import Folder
from signet.serving.tensors.protos import model_management_pb2, model_server_config_pb2

log = logging.getLogger(__name__)

_RELOAD_S = 2.0
_PROBLEMS = 3
"""Model servers of which is told what is wrong with them."""


class Served(Protocol):
    """Versions of a model at the model servers that answer."""

    @property
    def everywhere(self) -> frozenset[int]:
        """Those that each of them serves."""

    @property
    def somewhere(self) -> frozenset[int]:
        """Those that any of them serves, or is loading."""


class ModelServers(Protocol):
    """Those whose file it is. For any thread but the event loop's."""

    def served(self, model: str) -> Served | None:
        """None while that is not known."""

    def reload(self, config: bytes, timeout_s: float) -> list[str]:
        """Have all take a serialized ReloadConfigRequest that have not yet; gives a sentence about each that does not."""


class LabelFile:
    """The model config file of model servers, as releases want it. For the thread that follows those."""

    def __init__(self, path: Path, servers: ModelServers, failures: Failures) -> None:
        self._path, self._servers, self._failures = path, servers, failures
        self._needed: Mapping[str, Collection[int]] = {}
        self._problem = ""

    def pin(self, versions: Mapping[str, Collection[int]]) -> None:
        """The versions that the releases of these models need; other models in the file are nobody's business here."""
        self._needed = versions

    def step(self, labelled: Callable[[str, str], int | None]) -> None:
        """Have the file say what the releases do, as far as the servers are ready for it, and have it read.

        labelled: as `Routes.labelled`. What fails is logged, counted, and tried again at the next step.
        """
        try:
            problem = self._step(labelled)
        except UsageError as error:
            problem = str(error)
        if problem:
            self._failures.count(RELEASES)  # each time: the alert is about those that last
        if problem and problem != self._problem:
            log.error("the labels in %s do not follow the releases now: %s", self._path, problem)
        self._problem = problem

    def _step(self, labelled: Callable[[str, str], int | None]) -> str:
        path = self._path.resolve()  # a link is not to be replaced by a file
        files = Folder(path.parent)
        found = files.read(path.name, small_file.MOST_BYTES)
        if found is None:
            raise UsageError("there is no such file")
        text = _text(found.content)
        there = labels_of(text)
        changes = {}
        for model, versions in self._needed.items():
            served = self._servers.served(model)
            if served is not None and model in there:
                wanted = {label: labelled(model, label) for label in (STABLE, CANARY)}
                changes[model] = _change(wanted, there[model], served, versions)
        if not changes:
            return ""
        new = changed(text, changes)
        if new != text:
            if not files.replace(path.name, new.encode(), found):
                return ""  # another one was faster: the next step sees what it made
            log.info("%s: %s", self._path, ", ".join(_described(model, change) for model, change in changes.items()))
        return "; ".join(self._servers.reload(_request(new), _RELOAD_S)[:_PROBLEMS])


def _change(
    wanted: Mapping[str, int | None], there: Mapping[str, int], served: Served, versions: Collection[int]
) -> Change:
    """What can be said now without a server's refusing it."""
    labels: dict[str, int | None] = {}
    for label, version in wanted.items():
        now = there.get(label)
        if version in served.everywhere:
            labels[label] = version
        else:  # what is gone would have everything refused, also the version that comes in its place
            labels[label] = now if now in served.somewhere else None
    return Change(labels, frozenset(versions))


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"it is no text: {error}") from error


def _request(text: str) -> bytes:
    request = model_management_pb2.ReloadConfigRequest()
    try:
        request.config.CopyFrom(text_format.Parse(text, model_server_config_pb2.ModelServerConfig()))
    except text_format.ParseError as error:
        raise UsageError(f"it has what cannot be sent, and servers have to poll it: {error}") from error
    return request.SerializeToString()


def _described(model: str, change: Change) -> str:
    labels = ", ".join(
        f"{label} is {'gone' if version is None else version}" for label, version in change.labels.items()
    )
    return f"of {model!r} {', '.join(map(str, sorted(change.versions)))} are needed, {labels}"
