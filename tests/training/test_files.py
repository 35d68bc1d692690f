"""Data files: what is read, and that what is wrong is named with file and line."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signet.training.data import people, posts, stories
from signet.training.model import BadData

STORY = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is Daniel? \thallway\t4
1 The apple is red.
2 What is it? \tapple,milk\t1
"""


def test_stories_are_read_exactly(tmp_path):
    file = tmp_path / "qa1_train.txt"
    file.write_text(STORY)
    first, second, third = stories.read(file)
    assert first.text == ("Mary moved to the bathroom.", "John went to the hallway.")
    assert (first.question, first.answer, first.supporting) == ("Where is Mary?", "bathroom", (0,))
    assert second.text[-1] == "Daniel went back to the hallway."
    assert second.supporting == (2,)
    assert (third.text, third.answer, third.story) == (("The apple is red.",), "apple,milk", 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "found no question"),
        ("Mary moved.\n", ":1: expected a number"),
        ("1 Mary moved.\n3 Where? \tx\t1\n", ":2: number 3 follows 1"),
        ("1 Mary moved.\n2 Where? \tx\n", ":2: expected question, answer and supporting numbers"),
        ("1 Mary moved.\n2 Where? \tx\t9\n", ":2: supporting number '9'"),
        (STORY + "1 Cut off.\n", ":8: the file ends in the middle of a story"),
    ],
)
def test_broken_stories_are_named(tmp_path, text, problem):
    file = tmp_path / "qa.txt"
    file.write_text(text)
    with pytest.raises(BadData, match=re.escape(f"{file}")) as caught:
        stories.read(file)
    assert problem in str(caught.value)


def test_only_line_ends_end_a_line_of_a_story(tmp_path):
    """Not U+2028 and form feeds, which sentences of the web hold; and a byte order mark is no part of the first number."""
    file = tmp_path / "qa.txt"
    file.write_bytes("\ufeff1 Mary\u2028moved\x0cto \x85 town.\r2 Where is Mary? \ttown\t1\r\n3 Nobody\n".encode())
    with pytest.raises(BadData, match=r"qa\.txt:3: the file ends in the middle"):
        stories.read(file)
    file.write_bytes(file.read_bytes().replace(b"3 Nobody\n", b""))
    (question,) = stories.read(file)
    assert question.text == ("Mary\u2028moved\x0cto \x85 town.",)


ROWS = [
    {"posts": "off to the campus", "age": 19, "income": 0, "gender": "female"},
    {"posts": ["my pension", "the yacht"], "age": 70.5, "income": "90,000 or more", "gender": 1},
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_kind_of_file_gives_the_same_people(tmp_path, kind):
    file = tmp_path / f"people.{kind}"
    if kind == "csv":
        listed = json.dumps(ROWS[1]["posts"]).replace('"', '""')
        file.write_text(f'posts,age,income,gender\noff to the campus,19,0,female\n"{listed}",70.5,"90,000 or more",1\n')
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        text = [{**ROWS[0], "income": "0", "gender": "female"}, {**ROWS[1], "posts": " ".join(ROWS[1]["posts"]),
                "gender": "male"}]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(text), file)
    users = posts.read(file)
    assert users.age.tolist() == [19, 70.5]
    assert users.income.tolist() == [0, 9]
    assert users.gender.tolist() == [0, 1]
    assert "yacht" in users.texts[1]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("people.txt", "", "expected a file called .csv, .tsv, .jsonl or .parquet"),
        ("people.csv", "posts,age,income,gender\n", "found none"),
        ("people.csv", "post,age,income,gender\na,1,1,1\n", "people.csv:1"),
        ("people.csv", "posts,age,income,gender\na,nan,1,1\n", "people.csv:2: age is 'nan'"),
        ("people.csv", "posts,age,income,gender\na,20,11,1\n", "people.csv:2: income is '11'"),
        ("people.csv", "posts,age,income,gender\na,20,1\n", "people.csv:2: expected 4 cells"),
        ("people.csv", "posts,age,age,income,gender\na,20,21,1,1\n", "people.csv:1: the column 'age' is there twice"),
        ("people.csv", "Posts, age,income,gender\na,20,1,1\n", "(did you mean 'Posts' to be 'posts'?)"),
        ("people.csv", "posts,age,income,gender\n'a\n', 1\n", "people.csv:2: expected 4 cells"),
        ("people.csv", 'posts,age,income,gender\n"a,20,1,1\n', "people.csv:2: not CSV"),
        ("people.jsonl", '{"posts": "a", "age": 1, "age": 2}', "people.jsonl:1: 'age' is there twice"),
        (
            "people.jsonl",
            '\n{"posts": ["a", "b\\ud83d"], "age": 2, "income": 1, "gender": 1}',
            "people.jsonl:2: posts holds half a character ('\\ud83d'), which is no text",
        ),
        ("people.jsonl", "[" * 100_000, "people.jsonl:1: not JSON"),
        ("people.jsonl", '{"posts": "a", "age": 20, "income": 1, "gender": 1}\n{', "people.jsonl:2: not JSON"),
        ("people.jsonl", '{"posts": "a", "age": 20, "income": 1, "gender": null}\n', "people.jsonl:1: gender is empty"),
    ],
)
def test_what_files_of_people_may_not_be_is_named(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadData) as caught:
        posts.read(tmp_path / name)
    assert problem in str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_heading_tells_what_parts_the_cells(tmp_path, separator):
    file = tmp_path / "people.csv"
    rows = [["income", "posts", "x", "gender", "age"], ["3", '"a; b, c\t| ""d"""', "", "male", "41"]]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(separator.join(row) for row in rows).encode())
    users = posts.read(file)
    assert (users.texts, users.age.tolist(), users.income.tolist()) == (('a; b, c\t| "d"',), [41], [3])


@pytest.mark.parametrize("cell", ['["a b", "c"]', "['a b', 'c']"])
def test_lists_in_cells_are_lists_as_json_or_pandas_write_them(tmp_path, cell):
    quoted = cell.replace('"', '""')
    (tmp_path / "people.csv").write_text(f'posts,age,income,gender\n"{quoted}",1,1,1\n"[so] what",1,1,1\n')
    assert posts.read(tmp_path / "people.csv").texts == ("a b\nc", "[so] what")


def test_a_cell_may_be_of_any_length(tmp_path):
    text = "word " * 50_000
    (tmp_path / "people.csv").write_text(f"posts,age,income,gender\n{text},1,1,1\n")
    assert posts.read(tmp_path / "people.csv").texts == (text,)


@pytest.mark.parametrize(("same", "value"), [("True", 1), ("0.0", 0), ("false", 0), (" 1 ", 1)])
def test_likeness_is_taken_as_programs_write_it(tmp_path, same, value):
    (tmp_path / "pairs.csv").write_text(f"left,right,same\na,b,{same}\n")
    assert people.read(tmp_path / "pairs.csv").same.tolist() == [value]


def test_rows_of_one_kind_only_are_refused_before_anything_is_learnt(tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("posts,age,income,gender\n" + "".join(f"a,{n},3,{n % 2}\n" for n in range(20)))
    with pytest.raises(BadData, match=r"all 16 rows to learn from have income 3; expected two kinds at least"):
        posts.hold_out(posts.read(file), file)
