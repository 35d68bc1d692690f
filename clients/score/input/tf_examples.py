"""The features of serialized tf.Examples as an Arrow table, a list for each row.

[b"\\n\\x1a…", …]  ──table──▶  x: list<float>, id: list<int64>      null where an example lacks the feature
"""

from typing import Any

import pyarrow as pa

from signet.clients.score.plan import Plan
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tensors.protos import example_pb2


def table(records: list[bytes], plan: Plan, bad: dict[int, str]) -> Any:
    """A table with a column for each feature. bad: gets the reason, by place, for a record that is no example."""
    examples = []
    for place, record in enumerate(records):
        try:
            found = features(record)
            _check_expected(found, plan)
            examples.append(found)
        except InvalidInput as error:
            bad[place] = str(error)
            examples.append({})
    wanted = dict.fromkeys(plan.wanted or (*plan.used, *(name for found in examples for name in found)))
    columns = {}
    for name in wanted:
        held = [found.get(name) for found in examples]
        floats = any(isinstance(element, float) for elements in held for element in elements or ())
        try:
            columns[name] = pa.array(held, pa.list_(pa.float32()) if floats else None)
        except pa.ArrowException as error:
            raise UsageError(f"the feature {name!r} is not of one kind in all examples: {error}") from error
    return pa.table(columns)


def is_example(record: bytes) -> bool:
    """Whether a record can be read as a tf.Example."""
    try:
        features(record)
    except InvalidInput:
        return False
    return True


def _check_expected(found: dict[str, Any], plan: Plan) -> None:
    """Raise `InvalidInput` for a feature that the schema of the result has no column for."""
    if plan.schema is None or plan.carry is not None:
        return
    new = found.keys() - plan.used - set(plan.schema.names)
    if new:
        raise InvalidInput(f"it has a feature {min(new)!r}, which the first rows lack; say with --carry what to carry")


def features(record: bytes) -> dict[str, Any]:
    """The features of one serialized tf.Example: lists of numbers or bytes by name. Raises `InvalidInput`."""
    example = example_pb2.Example()
    try:
        example.ParseFromString(record)
    except Exception as error:  # protobuf's own class depends on how it was built
        raise InvalidInput(f"it is no tf.Example: {error}") from error
    kinds = {name: (feature, feature.WhichOneof("kind")) for name, feature in example.features.feature.items()}
    return {name: list(getattr(feature, kind).value) for name, (feature, kind) in kinds.items() if kind}
