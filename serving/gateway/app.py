"""The gateway: which part answers a request.

    HTTP ──▶ Gateway ──POST …:predict──▶ Frame, V1 ──▶ Inference ──▶ Backend
                     ──the rest──▶ FastAPI: status, metadata, health, metrics

Inference is dispatched here, before FastAPI: routing and middleware would cost it most of its speed.
"""

from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from serving.errors import UsageError
from serving.gateway import asgi, v1
from serving.gateway.backend import Backend
from serving.gateway.frame import Frame
from serving.gateway.inference import Inference
from serving.gateway.metrics import Metrics
from serving.gateway.routes import Health, add_error_handlers, create_router
from serving.gateway.settings import Settings
from serving.http_server import Request, Response
from serving.model_config import ModelConfig, from_folder, read


class Gateway:
    """Answers the requests of the HTTP server, and holds the parts it is joined from."""

    def __init__(self, settings: Settings, backend: Backend | None = None) -> None:
        """Raises `UsageError` when the settings do not say what to serve."""
        self.settings = settings
        self.metrics = Metrics(package_version())
        self.backend = backend or create_backend(settings)
        self.health = Health()
        self.inference = Inference(settings, self.backend, self.metrics)
        self._frame = Frame(self.inference, settings.max_body_bytes)
        self._v1 = v1.V1(self.inference)
        self.fastapi = FastAPI(title="Signet", version=package_version())
        self.fastapi.include_router(create_router(self.backend, self.inference, self.metrics, self.health))
        add_error_handlers(self.fastapi)

    async def answer(self, request: Request) -> Response:
        if request.method == "POST" and v1.PATH.fullmatch(request.path):
            return await self._frame.answer(v1.PROTOCOL, request, self._v1)
        return await asgi.answer(self.fastapi, request)

    def drain(self) -> None:
        """From now on /readyz says no; requests are still answered."""
        self.health.draining = True
        self.metrics.draining.set(1)


def create_backend(settings: Settings) -> Backend:
    """Remote when the settings name addresses, else embedded."""
    if settings.backend:
        from serving.gateway.remote import RemoteBackend  # noqa: PLC0415  # gRPC is not needed without it

        return RemoteBackend(declared_models(settings), settings.addresses, settings.poll_s)
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
