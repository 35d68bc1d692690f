"""Hooks for `st run`, which loads this file by SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Ask for null instead of bare NaN, which is not JSON and so in no schema."""
    if isinstance(body, dict) and body.get("non_finite", "bare") == "bare":
        return {**body, "non_finite": "null"}
    return body


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """A header that nobody knows is no violation, and nobody answers within a millionth of a second."""
    headers = case.headers or {}
    return "x-schemathesis-unknown-property" not in headers and not _is_short(headers.get("X-Request-Timeout", 1))


def _is_short(timeout_s: Any) -> bool:
    try:
        return 0 < float(timeout_s) < 1
    except (TypeError, ValueError):
        return False
