"""Edits of TensorFlow Serving's model config file that leave the rest as a person wrote it: comments, and fields not known here.

    text ──tokens──▶ spans of `config { … }` ──▶ those of `version_labels` and `model_version_policy` are replaced ──▶ text

Protocol buffers' own printer would lose the comments. What was edited is parsed again, and held against what it is to say.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from google.protobuf import text_format

from signet.serving.errors import UsageError
from signet.serving.tensors.protos import model_server_config_pb2


@dataclass(frozen=True)
class Change:
    """What a model is to have in the file."""

    labels: Mapping[str, int | None]
    """Label -> version; None: it is taken away. Other labels stay."""
    versions: frozenset[int]
    """Versions to be served, besides those that other labels stand for, and no more; where its policy serves all, it stays."""


def changed(text: str, changes: Mapping[str, Change]) -> str:
    """The text of a model config file with these changes, by models' names; as it was where it says so already.

    Models that it does not have are left out. Raises `UsageError` for a text that is no such file.
    """
    message = _parsed(text)
    edits: list[_Edit] = []
    bodies = list(_configs(text))
    if len(bodies) != len(message.model_config_list.config):
        raise UsageError("the model config file has models that cannot be found in its text")
    for body, config in zip(bodies, message.model_config_list.config, strict=True):
        if config.name in changes:
            edits += _edits(text, body, config, changes[config.name])
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    if edits and _parsed(text) != message:  # which was changed along the way
        raise UsageError("the model config file is written in a way in which it cannot be changed safely")
    return text


def labels_of(text: str) -> dict[str, dict[str, int]]:
    """Model -> label -> version, as a model config file says. Raises `UsageError`."""
    return {config.name: dict(config.version_labels) for config in _parsed(text).model_config_list.config}


def _parsed(text: str) -> model_server_config_pb2.ModelServerConfig:
    try:
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise UsageError(f"the model config file is none: {error}") from error


# What is to be changed


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


def _edits(text: str, body: "_Span", config: model_server_config_pb2.ModelConfig, change: Change) -> list[_Edit]:
    """Of one model. `config` is changed as the text will be."""
    fields = list(_fields(text, body))
    labels = config.version_labels
    moved = {label: version for label, version in change.labels.items() if version != labels.get(label)}
    edits, added = _label_edits(text, fields, moved)
    for label, version in moved.items():
        if version is None:
            del labels[label]
        else:
            labels[label] = version
    policy = config.model_version_policy
    versions = sorted(change.versions | set(labels.values()))
    if policy.WhichOneof("policy_choice") != "all" and sorted(set(policy.specific.versions)) != versions:
        policy.specific.ClearField("versions")
        policy.specific.versions.extend(versions)
        said = f"model_version_policy {{ specific {{ {' '.join(f'versions: {version}' for version in versions)} }} }}"
        old = next((field for field in fields if field.name == "model_version_policy"), None)
        if old is None:
            added.append(said)
        else:
            edits.append(_Edit(old.start, old.end, said))
    return [*edits, _after(text, fields, added)] if added else edits


def _label_edits(text: str, fields: "list[_Field]", moved: Mapping[str, int | None]) -> tuple[list[_Edit], list[str]]:
    """The edits of labels that are there, and the statements of those that are not yet."""
    edits = []
    to_say = {label: _label(label, version) for label, version in moved.items() if version is not None}
    for field in fields:
        if field.name != "version_labels":
            continue
        keys = [_key(text, item) for item in field.items]
        if not any(key in moved for key in keys):
            continue
        kept = [
            f"version_labels {{{text[item.start : item.end]}}}" if key not in moved else to_say.pop(key, "")
            for key, item in zip(keys, field.items, strict=True)
        ]
        said = " ".join(filter(None, kept))
        edits += [_Edit(field.start, field.end, said)] if said else _without(text, field)
    return edits, list(to_say.values())


def _label(label: str, version: int) -> str:
    return f"version_labels {{ key: {json.dumps(label, ensure_ascii=False)} value: {version} }}"


def _key(text: str, item: "_Span") -> str:
    """The label of an entry."""
    entry = text_format.Parse(
        f"version_labels {{{text[item.start : item.end]}\n}}",
        model_server_config_pb2.ModelConfig(),
        allow_unknown_field=True,
    )
    return next(iter(entry.version_labels))


def _after(text: str, fields: "Sequence[_Field]", statements: Sequence[str]) -> _Edit:
    """More statements behind the last field: on lines of their own, set in as that line is, where the fields have some."""
    last = fields[-1]
    start, end = text.rfind("\n", 0, last.start) + 1, _line_end(text, last.end)
    indent = text[start : last.start][: -len(text[start : last.start].lstrip()) or None]
    if start + len(indent) not in {field.start for field in fields} or not _REST.fullmatch(text, last.end, end):
        return _Edit(last.end, last.end, "".join(f" {statement}" for statement in statements))
    return _Edit(end, end, "".join(f"\n{indent}{statement}" for statement in statements))


def _without(text: str, gone: "_Field") -> list[_Edit]:
    """A field taken away with what separates it from the next one, and with its line where that has nothing else."""
    start, end = text.rfind("\n", 0, gone.start) + 1, _line_end(text, gone.end)
    alone = end < len(text) and not text[start : gone.start].strip() and text[gone.end : end].strip() in ("", ",", ";")
    cut = _Edit(start, end + 1, "") if alone else _Edit(gone.start, gone.end, "")
    return [cut] if gone.separator.end <= cut.end else [cut, _Edit(*gone.separator, "")]


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


_REST = re.compile(r"[ \t\r]*[,;]?[ \t\r]*(?:\#[^\n]*)?")
"""What may stand behind a field that is the last one of its line."""


# Where it stands in the text


class _Span(NamedTuple):
    """Of characters: from `start` up to `end`."""

    start: int
    end: int


class _Field(NamedTuple):
    """A field of a message, with its name and value."""

    name: str
    start: int
    end: int
    items: list[_Span]
    """The insides of its messages: one, or several where it is written as a list."""
    separator: _Span
    """The `,` or `;` behind it; empty without one."""


_TOKEN = re.compile(r"""\#[^\n]*|\s+|(?P<word>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[\w.+-]+|.)""", re.ASCII)
_CLOSING = {"{": "}", "<": ">", "[": "]"}


def _configs(text: str) -> Iterator[_Span]:
    """The insides of `config { … }` of all models, in their order."""
    for outer in _fields(text, _Span(0, len(text))):
        if outer.name == "model_config_list":
            for inside in outer.items:
                yield from (item for inner in _fields(text, inside) if inner.name == "config" for item in inner.items)


def _fields(text: str, inside: _Span) -> Iterator[_Field]:
    """The fields of a message whose text has been found good."""
    tokens = [match for match in _TOKEN.finditer(text, *inside) if match["word"]]
    words = [match["word"] for match in tokens]
    at = 0
    while at < len(words):
        name, start = words[at], tokens[at].start()
        at = _closing(words, at) + 1 if name == "[" else at + 1  # [an.extension]
        at += words[at] == ":"
        last = _last(words, at)
        separated = last + 1 < len(words) and words[last + 1] in (",", ";")
        separator = _Span(*tokens[last + separated].span()) if separated else _Span(0, 0)
        yield _Field(name, start, tokens[last].end(), _items(tokens, words, at), separator)
        at = last + 1 + separated


def _last(words: Sequence[str], at: int) -> int:
    """Where the value ends that begins at a word."""
    if words[at] in _CLOSING:
        return _closing(words, at)
    if words[at] == "-":
        return at + 1
    while words[at][0] in "\"'" and at + 1 < len(words) and words[at + 1][0] in "\"'":  # several strings are one
        at += 1
    return at


def _closing(words: Sequence[str], at: int) -> int:
    """Where the bracket closes that a word opens."""
    open_ = []
    for number in range(at, len(words)):
        if words[number] in _CLOSING:
            open_.append(_CLOSING[words[number]])
        elif words[number] == open_[-1]:
            open_.pop()
            if not open_:
                return number
    raise UsageError("the model config file has a bracket that nothing closes")


def _items(tokens: "Sequence[re.Match[str]]", words: Sequence[str], at: int) -> list[_Span]:
    """The insides of the message that is a value, or of those that are in a list."""
    if words[at] not in _CLOSING:
        return []
    last = _closing(words, at)
    if words[at] != "[":
        return [_Span(tokens[at].end(), tokens[last].start())]
    items = []
    at += 1
    while at < last:
        if words[at] in _CLOSING:
            items += _items(tokens, words, at)
            at = _closing(words, at)
        at += 1
    return items
