"""What the core needs of whoever says which version answers requests that name none: `gateway/releases`.

InferenceRequest without version or label ──version(model, asker)──▶ that version, or None: the newest, as ever
"""

from typing import Protocol

from signet.serving.errors import ServingError


class Asker(Protocol):
    """A request, as far as it matters for who answers it."""

    routed: str | None
    """Written by `Routes.version` where chance chooses: by which key."""

    def affinity(self) -> tuple[str, str | None]:
        """Whose request it is, or where it does not say so its id; and which side of a release it asks for, if it asks for one:
        `stable` or `candidate`."""


class Routes(Protocol):
    """Says which version answers. All methods are for the event loop, and ask nobody."""

    def version(self, model: str, asker: Asker | None) -> int | None:
        """The version that answers a request of a model that names none; None: there is no release of it.

        asker: None for whoever is content with what most get: that is the stable one. Raises `InvalidInput` for a wrong side,
        `FailedPrecondition` for a candidate that there is not, `Unavailable` where nobody knows what to serve.
        """

    def labelled(self, model: str, label: str) -> int | None:
        """The version that `stable` or `canary` stands for; None: a release says nothing of it."""

    def missing(self, model: str) -> ServingError | None:
        """Why a version that `version` gave is not there; None: there is no release of the model."""
