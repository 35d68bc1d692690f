"""The routes that are the same whatever is served, without a gateway to answer them."""

from typing import Any

from fastapi import FastAPI

from signet.serving.gateway.http import asgi, v1_routes, v2_routes
from signet.serving.gateway.openapi import fixed_routes, page
from signet.serving.gateway.releases import http_routes


def app_without_gateway() -> FastAPI:
    assert asgi, "it tells FastAPI what `{model:name}` is"
    nobody: Any = None
    app = fixed_routes.create_app("1")
    app.include_router(v1_routes.create_router(nobody, nobody, nobody, nobody))
    app.include_router(http_routes.create_router(nobody, nobody))
    app.include_router(v2_routes.create_router(nobody))
    app.include_router(page.create_router(nobody))
    return app
