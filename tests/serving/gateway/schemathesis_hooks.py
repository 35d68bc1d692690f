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
def filter_headers(context: schemathesis.HookContext, headers: Any) -> bool:
    """A header that nobody knows is no violation."""
    return "x-schemathesis-unknown-property" not in (headers or {})
