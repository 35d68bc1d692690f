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
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """A header that nobody knows is no violation, and nobody answers within a millionth of a second.

    A version that is not there is not ready, which the protocol tells by 503.
    """
    headers = case.headers or {}
    if case.path.endswith("/versions/{version}/ready") and str(case.path_parameters["version"]).isdecimal():
        return False
    return "x-schemathesis-unknown-property" not in headers and not _is_short(headers.get("X-Request-Timeout"), 1)


def _is_short(timeout: Any, enough: float) -> bool:
    try:
        return 0 < float(timeout) < enough
    except (TypeError, ValueError):
        return False
