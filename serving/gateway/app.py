"""The gateway as an ASGI application.

    HTTP ──▶ Gateway ──predict──▶ Predictor ──▶ Backend
                     ──the rest──▶ FastAPI: status, metadata, health, metrics

Predict is dispatched here, before FastAPI: routing and middleware would cost it most of its speed.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from serving.errors import UsageError
from serving.gateway import predict
from serving.gateway.backend import Backend
from serving.gateway.metrics import Metrics
from serving.gateway.predict import Predictor
from serving.gateway.routes import Health, add_error_handlers, create_router
from serving.gateway.settings import Settings
from serving.model_config import ModelConfig, from_folder, read


class Gateway:
    """The outermost ASGI callable, and the parts it is joined from."""

    def __init__(self, settings: Settings, backend: Backend | None = None) -> None:
        """Raises `UsageError` when the settings do not say what to serve."""
        self.settings = settings
        self.metrics = Metrics(package_version())
        self.backend = backend or create_backend(settings, self.metrics)
        self.health = Health()
        self.predictor = Predictor(settings, self.backend, self.metrics)
        self.fastapi = FastAPI(title="Signet", version=package_version())
        self.fastapi.include_router(create_router(self.backend, self.metrics, self.health))
        add_error_handlers(self.fastapi)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and predict.PATH.fullmatch(scope["path"]):
            await self.predictor(scope, receive, send)
        else:
            await self.fastapi(scope, receive, send)

    def drain(self) -> None:
        """From now on /readyz says no; requests are still answered."""
        self.health.draining = True
        self.metrics.draining.set(1)


def create_backend(settings: Settings, metrics: Metrics) -> Backend:
    """Remote when the settings name addresses, else embedded."""
    if settings.backend:
        from serving.gateway import remote  # noqa: PLC0415  # gRPC is not needed without it

        return remote.create(declared_models(settings), settings, metrics)
    from serving.gateway.embedded import EmbeddedBackend  # noqa: PLC0415  # loads TensorFlow's library

    return EmbeddedBackend(declared_configs(settings), settings.poll_s, settings.allow_missing)


def declared_models(settings: Settings) -> list[str]:
    """The names to serve from a remote backend, which cannot be asked for them."""
    if settings.models:
        return [name.strip() for name in settings.models.split(",") if name.strip()]
    if settings.model_config_file or settings.models_dir:
        return [config.name for config in declared_configs(settings)]
    raise UsageError("say which models the backend serves: --models a,b, --model-config-file or --models-dir")


def declared_configs(settings: Settings) -> list[ModelConfig]:
    """The models to serve and where they lie."""
    if settings.model_config_file:
        return read(settings.model_config_file)
    if settings.models_dir:
        return from_folder(settings.models_dir)
    raise UsageError("say which models to serve: --models-dir or --model-config-file")


def package_version() -> str:
    """The installed version of this project."""
    try:
        return version("signet")
    except PackageNotFoundError:
        return "0"
