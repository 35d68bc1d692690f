"""The types that `protos.pyi` states are those of the messages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from signet.serving.tensors import protos

STUB = ast.parse(Path(protos.__file__).with_suffix(".pyi").read_text())
SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
}


def stated(inside: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class of the stub by its dotted name."""
    for node in inside.body:
        if isinstance(node, ast.ClassDef):
            yield f"{prefix}{node.name}", node
            yield from stated(node, f"{prefix}{node.name}.")


def found(name: str) -> object:
    """What `protos.py` has under a dotted name."""
    value: object = protos
    for part in name.split("."):
        value = getattr(value, part)
    return value


CLASSES = dict(stated(STUB))
MESSAGES = {name: node for name, node in CLASSES.items() if any(ast.unparse(base) == "Message" for base in node.bases)}


def single(field: FieldDescriptor) -> str:
    """The type of one value of a field."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return field.message_type.full_name.split(".")[-1]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "str"
    return SCALARS.get(field.cpp_type, "int")


def expected(field: FieldDescriptor) -> str:
    message: Descriptor | None = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = message.fields_by_name["key"], message.fields_by_name["value"]
        kind = "MessageMap" if value.message_type else "ScalarMap"
        return f"{kind}[{single(key)}, {single(value)}]"
    if field.is_repeated:
        return f"{'Messages' if message else 'Values'}[{single(field)}]"
    return single(field)


def short(annotation: ast.expr) -> str:
    """The type as it is written, without the modules before its names."""
    for node in ast.walk(annotation):
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.Attribute):
                setattr(node, name, ast.Name(value.attr))
            elif isinstance(value, list):
                value[:] = [ast.Name(each.attr) if isinstance(each, ast.Attribute) else each for each in value]
    return annotation.attr if isinstance(annotation, ast.Attribute) else ast.unparse(annotation)


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_stub_names_exists(name):
    assert found(name)
    if name.endswith("_pb2"):
        for node in CLASSES[name].body:
            assert not isinstance(node, ast.AnnAssign) or hasattr(found(name), node.target.id)


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_have_the_types_that_the_stub_states(name):
    descriptor = found(name).DESCRIPTOR
    fields = [node for node in MESSAGES[name].body if isinstance(node, ast.AnnAssign)]
    assert {node.target.id: short(node.annotation) for node in fields} == {
        node.target.id: expected(descriptor.fields_by_name[node.target.id]) for node in fields
    }


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_made_from_fields_that_they_have(name):
    makers = [node for node in MESSAGES[name].body if isinstance(node, ast.FunctionDef)]
    names = {argument.arg for node in makers for argument in node.args.kwonlyargs}
    assert names <= set(found(name).DESCRIPTOR.fields_by_name)
