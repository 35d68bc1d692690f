"""Keras models with several named inputs and outputs, from training to production.

    from signet import Client, GrpcClient, export

What is offered here costs nothing until it is asked for: a client needs no TensorFlow, and gRPC only for `GrpcClient`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signet.clients.gateway_client import AsyncClient, Client
    from signet.clients.grpc_client import GrpcClient
    from signet.clients.retries import NEVER, Retry
    from signet.serving import errors
    from signet.training.from_python import ExportBest, Exported, export

__all__ = [
    "NEVER",
    "AsyncClient",
    "Client",
    "ExportBest",
    "Exported",
    "GrpcClient",
    "Retry",
    "errors",
    "export",
]

_HOMES = {
    "AsyncClient": "signet.clients.gateway_client",
    "Client": "signet.clients.gateway_client",
    "ExportBest": "signet.training.from_python",
    "Exported": "signet.training.from_python",
    "GrpcClient": "signet.clients.grpc_client",
    "NEVER": "signet.clients.retries",
    "Retry": "signet.clients.retries",
    "errors": "signet.serving",
    "export": "signet.training.from_python",
}
"""The module that each public name lives in."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'signet' has no attribute {name!r}")
    home = _HOMES[name]
    return import_module(f"{home}.errors") if name == "errors" else getattr(import_module(home), name)
