"""Keras models with several named inputs and outputs, from training to production.

    from signet import Client, GrpcClient, export

What is offered here costs nothing until it is asked for: a client needs no TensorFlow, and gRPC only for `GrpcClient`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signet.clients.client.gateway_client import AsyncClient, Client
    from signet.clients.client.grpc_client import GrpcClient
    from signet.clients.client.retries import NEVER, Retry
    from signet.serving import errors
    from signet.training.export.from_python import ExportBest, Exported, export

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
    "AsyncClient": "signet.clients.client.gateway_client",
    "Client": "signet.clients.client.gateway_client",
    "ExportBest": "signet.training.export.from_python",
    "Exported": "signet.training.export.from_python",
    "GrpcClient": "signet.clients.client.grpc_client",
    "NEVER": "signet.clients.client.retries",
    "Retry": "signet.clients.client.retries",
    "errors": "signet.serving",
    "export": "signet.training.export.from_python",
}
"""The module that each public name lives in."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'signet' has no attribute {name!r}")
    home = _HOMES[name]
    return import_module(f"{home}.errors") if name == "errors" else getattr(import_module(home), name)
