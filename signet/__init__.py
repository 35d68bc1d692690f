"""Keras models with several named inputs and outputs, from training to production.

    from signet import Client, GrpcClient, export

What is offered here costs nothing until it is asked for: a client needs no TensorFlow, and gRPC only for `GrpcClient`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from signet.clients.client.grpc_client import GrpcClient
    from signet.clients.client.http_client import AsyncClient, Client
    from signet.clients.client.retries import NEVER, Retry
    from signet.serving import errors
    from signet.training.export.from_python import ExportBest, Exported, export
else:  # a type checker that saw this would take any name for one of ours
    _NAMES = {
        "signet.clients.client.http_client": ("AsyncClient", "Client"),
        "signet.clients.client.grpc_client": ("GrpcClient",),
        "signet.clients.client.retries": ("NEVER", "Retry"),
        "signet.training.export.from_python": ("ExportBest", "Exported", "export"),
    }
    _HOMES = {name: module for module, names in _NAMES.items() for name in names}

    def __getattr__(name: str) -> Any:
        """A public name, imported when it is first asked for."""
        if name == "errors":
            return import_module("signet.serving.errors")
        if name not in _HOMES:
            raise AttributeError(f"module 'signet' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
