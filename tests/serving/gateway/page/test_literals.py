"""Whatever a text or a value is, its literals in generated code mean the same in every language."""

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import programs
from tests.servers import ROOT

HERE = Path(__file__).parent / "javascript"
AWKWARD = [
    "",
    "'",
    "''",
    '"',
    "\\",
    "\\'",
    "$HOME `id` $(id)",
    "!!",
    "-n",
    "%s\\n",
    "a\nb\r\n\tc",
    "\x01\x1b[31m\x7f\x85",
]
UNSEEN = [
    "\u2028\u2029",
    "a\u202eb\u2066c",
    "\ufeff\u200b\u00a0\u00ad",
    "👩‍👩‍👧",
    "🇩🇪😀",
    "ü日本",
    "\U000e0041\U000e007f",
]
CODE = [
    "</script>",
    "*/",
    "//",
    "${x}",
    "{{x}}",
    '"""',
    "f'{x}'",
    "#",
    "None",
    "true",
    "__proto__",
    "-0",
    "@file",
    "\\u0041",
]

texts = st.one_of(
    st.sampled_from([*AWKWARD, *UNSEEN, *CODE]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.lists(st.sampled_from([*AWKWARD, *UNSEEN, *CODE])).map("".join),
)
numbers = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)


values = st.recursive(texts | numbers, nested, max_leaves=4)


def node(script: str, *arguments: str, stdin: str) -> str:
    programs.need("node")
    command = ["node", *([HERE / script] if script else []), *arguments]
    return subprocess.run(command, input=stdin.encode(), capture_output=True, check=True).stdout.decode()


def literals(what: list[Any]) -> dict[str, list[str]]:
    written: dict[str, list[str]] = json.loads(node("literals.js", stdin=json.dumps(what)))
    return written


def same(a: Any, b: Any) -> bool:
    """JavaScript has one kind of number, and puts names that are numbers first."""
    one, other = (json.dumps(json.loads(json.dumps(each), parse_int=float), sort_keys=True) for each in (a, b))
    return one == other


@settings(max_examples=5)
@given(st.lists(texts, min_size=10, max_size=20).map(lambda some: [*some, *AWKWARD, *UNSEEN, *CODE]))
def test_a_word_of_the_shell_is_the_text(some):
    command = f"printf '%s\\0' {' '.join(literals(some)['shell'])}"
    said = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.decode()
    assert said.split("\0")[:-1] == some


@settings(max_examples=5)
@given(st.lists(values, min_size=10, max_size=20).map(lambda some: [*some, *AWKWARD, *UNSEEN, *CODE]))
def test_literals_of_python_json_and_typescript_are_the_value(some):
    written = literals(some)
    for value, python, text in zip(some, written["python"], written["json"], strict=True):
        assert same(ast.literal_eval(python), value)
        assert same(json.loads(text), value)
    evaluated = f"process.stdout.write(JSON.stringify([{', '.join(written['typescript'])}]))"
    assert same(json.loads(node("", "--input-type=module", "-", stdin=evaluated)), some)


def test_what_nobody_sees_is_written_as_escapes():
    written = literals(UNSEEN)
    for language in ("python", "typescript", "json"):
        for text in written[language]:
            assert all(character.isprintable() for character in text), text.encode("unicode_escape")


def test_numbers_that_json_has_not_are_floats_of_python():
    module = ROOT / "serving/gateway/page/static/model/try/code/literals.js"
    code = f"import {{ PYTHON }} from '{module}'; console.log([NaN, Infinity, -Infinity, -0].map(PYTHON.leaf).join())"
    said = node("", "--input-type=module", "-", stdin=code)
    assert said.strip() == 'float("nan"),float("inf"),float("-inf"),-0.0'
