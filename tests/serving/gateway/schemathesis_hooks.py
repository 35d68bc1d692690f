"""Hooks for `st run`, which loads this file by SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Ask for null instead of bare NaN, which is not JSON and so in no schema; and for time enough."""
    if not isinstance(body, dict):
        return body
    if context.operation.path.startswith("/v1"):
        return {**body, **_strict(body, "bare")}
    said = body.get("parameters")
    if not isinstance(said, dict):
        return body
    enough = {"timeout": 0} if _is_short(said.get("timeout"), 1_000_000) else {}
    return {**body, "parameters": {**said, **_strict(said, "string"), **enough}}


def _strict(said: dict[str, Any], default: str) -> dict[str, Any]:
    return {"non_finite": "null"} if said.get("non_finite", default) == "bare" else {}


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: Any) -> Any:
    """Ask whether a version is ready that is there: any other is not, which the protocol tells by 503."""
    if not _asks_for_readiness(context.operation.path) or not isinstance(path_parameters, dict):
        return path_parameters
    return {**path_parameters, "version": "1"}


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """A header that nobody knows is no violation, and nobody answers within a millionth of a second."""
    headers = case.headers or {}
    if _asks_for_readiness(case.path) and case.path_parameters["version"] != "1":
        return False
    return "x-schemathesis-unknown-property" not in headers and not _is_short(headers.get("X-Request-Timeout"), 1)


def _asks_for_readiness(path: str) -> bool:
    return path.endswith("/versions/{version}/ready")


def _is_short(timeout: Any, enough: float) -> bool:
    try:
        return 0 < float(timeout) < enough
    except (TypeError, ValueError):
        return False
