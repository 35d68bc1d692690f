"""Short ways to write JSON Schemas, parameters and responses, and the responses that errors are."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
VERSION: Schema = {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}
NUMERAL: Schema = {"type": "string", "pattern": "^[0-9]+$"}


def ref(name: str) -> Schema:
    """A schema of `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(properties: dict[str, Schema], **more: Schema) -> Schema:
    """An object that has these properties, and maybe more of them."""
    return {"type": "object", "properties": {**properties, **more}, "required": list(properties)}


def closed(properties: dict[str, Schema], **more: Schema) -> Schema:
    """An object that has these properties, maybe more of them, and no others."""
    return {**record(properties, **more), "additionalProperties": False}


def only(*values: str) -> Schema:
    """One of these strings."""
    return {"type": "string", **({"const": values[0]} if len(values) == 1 else {"enum": list(values)})}


def without(name: str) -> Schema:
    """Forbids a property, in a way that generators pass over: a property that is `false` they do not know."""
    return {"propertyNames": {"not": {"const": name}}}


def any_of(*forms: Schema) -> Schema:
    """One of these forms; the only one as it is."""
    return forms[0] if len(forms) == 1 else {"anyOf": list(forms)}


def mapping(values: Schema) -> Schema:
    """An object with such values under any names."""
    return {"type": "object", "additionalProperties": values}


def explained(text: str, schema: Schema) -> Schema:
    """A schema with a description."""
    return {"description": text, **schema}


def array(items: Schema, **limits: int) -> Schema:
    """A list of such items. limits: `minItems`, `maxItems`."""
    return {"type": "array", "items": items, **limits}


def json_answer(schema: Schema, description: str) -> Schema:
    """A response whose body is JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def in_path(name: str, schema: Schema, **more: object) -> Schema:
    """A parameter that is a part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema, **more}


# Errors

SCHEMAS: dict[str, Schema] = {
    "Error": {
        "description": "What is wrong: the message names the thing, what was expected and what came",
        **closed({"error": TEXT}),
    }
}

_ERRORS = {
    400: ("WrongRequest", "The request does not fit the model or the route, or the model refused it"),
    403: ("Refused", "Nobody may do this by request"),
    404: ("NotServed", "No such model or version"),
    409: ("Overtaken", "Somebody else has changed it meanwhile"),
    406: ("NotAcceptable", "Accept names no type that there is: predict answers in JSON, CSV, Arrow and Parquet"),
    413: ("TooLarge", "The body is too large"),
    415: (
        "UnknownEncoding",
        "The Content-Encoding is not known: gzip, deflate and identity are; or the Content-Type is not",
    ),
    429: ("Busy", "Too many requests are in work"),
    500: ("Fault", "The fault is on this side; the log says more"),
    501: ("NotCarried", "A type that this dialect cannot carry, or a part of it that is not offered"),
    502: ("NoAnswer", "A model server answers, but not as one does"),
    503: ("NotAvailable", "No version is available yet, or no model server answers"),
    504: ("TooLate", "No answer in time"),
}
RESPONSES: dict[str, Schema] = {name: json_answer(ref("Error"), text) for name, text in _ERRORS.values()}
RESPONSES["Busy"]["headers"] = {"Retry-After": {"description": "Seconds", "schema": NUMERAL}}


def errors(*statuses: int) -> dict[str, Schema]:
    """The responses of these statuses."""
    return {str(status): {"$ref": f"#/components/responses/{_ERRORS[status][0]}"} for status in statuses}
