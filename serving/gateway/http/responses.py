"""What a route tells FastAPI of its answers for the OpenAPI document: `responses=gives("Status", "The states")`.

The schemas have names here and stand in `openapi/fixed_routes.py`; so does what an error is like, whose status alone is told.
"""

from typing import Any

Responses = dict[int | str, dict[str, Any]]


def gives(schema: str, text: str, status: int = 200) -> Responses:
    """JSON of a schema. text: what it is."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {status: {"description": text, "content": {"application/json": {"schema": reference}}}}


def ready_or_not(schema: str, no: str = "Not ready") -> Responses:
    """JSON of a schema with 200 for yes, and with 503 and the text `no` for no."""
    return gives(schema, "Ready") | gives(schema, no, 503)


def takes(schema: str, examples: dict[str, Any] | None = None, *, required: bool = False) -> dict[str, Any]:
    """A body of JSON of a schema, for `openapi_extra`. examples: by title."""
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if examples:
        content["examples"] = {title: {"summary": title, "value": value} for title, value in examples.items()}
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def fails(*statuses: int) -> Responses:
    """Errors."""
    return {status: {} for status in statuses}
