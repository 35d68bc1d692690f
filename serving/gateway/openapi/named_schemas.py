"""Names for the schemas of a document's models, which generated clients make their classes of.

("question_answering", "from_text", "Row"), a schema ──add──▶ `components/schemas/QuestionAnsweringFromTextRow`, a reference

A model and a signature may be called anything, so two names can come out alike; the later one then gets a number.
"""

import re
from collections.abc import Mapping

from signet.serving.gateway.openapi.schemas import Schema, any_of, ref


class NamedSchemas:
    """The schemas of one document: those that are the same whatever is served, and those of its models."""

    def __init__(self, fixed: Mapping[str, Schema]) -> None:
        self.schemas = dict(fixed)
        self._taken = {name.lower() for name in fixed}
        """Generators make files of names, and some file systems do not tell a from A."""

    def add(self, parts: tuple[str, ...], schema: Schema) -> Schema:
        """Give the schema a name of these parts, and a reference to it."""
        wanted = class_name(parts)
        name, count = wanted, 1
        while name.lower() in self._taken:
            if self.schemas.get(name) == schema:
                return ref(name)
            count += 1
            name = f"{wanted}{count}"
        self._taken.add(name.lower())
        self.schemas[name] = schema
        return ref(name)

    def any_of(self, parts: tuple[str, ...], *forms: Schema) -> Schema:
        """A reference to one of these forms under a name; the only one needs none."""
        return forms[0] if len(forms) == 1 else self.add(parts, any_of(*forms))


def class_name(parts: tuple[str, ...]) -> str:
    """What most languages call a class: letters and digits alone, the first of each word large, no digit at the start."""
    words = [word for part in parts for word in re.split(r"[-_. /]+", part) if word]
    name = "".join(word[0].upper() + word[1:] for word in words)
    name = re.sub(r"[^A-Za-z0-9]", lambda sign: f"U{ord(sign[0]):x}", name)
    return f"Model{name}" if name[:1].isdigit() else name
