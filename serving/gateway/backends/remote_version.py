"""A version of a model as model servers have it: its signatures, and which servers are known to hold just these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signet.serving.models import model_card
from signet.serving.models.independence import Verdict
from signet.serving.models.model_card import Card
from signet.serving.tensors.protos import meta_graph_pb2
from signet.serving.tensors.signature import Signature


@dataclass(eq=False)
class RemoteVersion:
    """The signatures of a version that model servers hold; nothing here keeps it loaded there. The event loop alone writes.

    Two servers can have different signatures under one number; then there are two of these, and a request that was held
    against one is answered by its holders alone.
    """

    name: str
    version: int
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, meta_graph_pb2.SignatureDef]
    card: Card = model_card.NONE
    """The version's card from the folder of models, if there is one; looked for again until it is there, by the event loop."""
    joining: dict[str, Verdict] = field(default_factory=dict)
    in_use: dict[str, Any] = field(default_factory=dict)
    holders: set[object] = field(default_factory=set)
    """The model servers whose metadata said so by the connection that they have now."""

    def release(self) -> None:
        """Do nothing: the model server decides how long the version stays loaded."""
