"""Stories and questions about them: files in the bAbI format, and a generator of stories in the words of its task 1.

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary? <TAB>bathroom<TAB>1
                        └──▶ Question(text=("Mary moved to the bathroom.", "John went to the hallway."),
                                      question="Where is Mary?", answer="bathroom", supporting=(0,), story=0)

Every line has a number; 1 opens a new story. Questions stand inside the story and have a number too, so the supporting
numbers count them; a question's text is every sentence of its story before it, without the questions. An answer of several
words ("apple,milk", "s,e") is one answer. Source: Weston et al., "Towards AI-Complete Question Answering", arXiv:1502.05698.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signet.training.model import BadData


@dataclass(frozen=True)
class Question:
    """One question, with all that was told before it."""

    text: tuple[str, ...]
    """Sentences, in the order told."""
    question: str
    answer: str
    supporting: tuple[int, ...]
    """Which sentences of `text` the answer rests on, counted from 0."""
    story: int
    """Number of the story, from 0: questions of one story belong together when rows are held out."""


# ---- Files


def read(path: Path) -> list[Question]:
    """The questions of one file. Raises BadData with file and line."""
    try:
        # Only what ends a line for editors and for Python's files: a sentence may hold other separators, such as U+2028.
        lines = re.split("\r\n|\r|\n", path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    questions = list(_questions(path, lines))
    if not questions:
        raise BadData(f"{path}: expected stories in the bAbI format, found no question")
    return questions


def _questions(path: Path, lines: Sequence[str]) -> Iterator[Question]:
    story, number = -1, 0
    sentences: dict[int, str] = {}  # by their number in the story
    open_line = 0  # line of the last sentence that no question has followed yet
    for line_number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{line_number}"
        first, _, rest = line.partition(" ")
        if not first.isdecimal() or not rest.strip():
            raise BadData(f"{where}: expected a number, a blank and a sentence, found {line[:60]!r}")
        if int(first) == 1:
            if open_line:
                raise BadData(f"{path}:{open_line}: the story ends here without a question; is a piece missing?")
            story, sentences = story + 1, {}
        elif int(first) != number + 1:
            raise BadData(f"{where}: number {first} follows {number}; a story counts 1, 2, 3, …, and 1 opens the next")
        number = int(first)
        if "\t" not in rest:
            sentences[number] = rest.strip()
            open_line = line_number
            continue
        yield _question(where, rest, sentences, story)
        open_line = 0
    if open_line:
        raise BadData(f"{path}:{open_line}: the file ends in the middle of a story, without a question; is it cut off?")


def _question(where: str, rest: str, sentences: dict[int, str], story: int) -> Question:
    parts = [part.strip() for part in rest.split("\t")]
    if len(parts) != 3 or not all(parts):
        raise BadData(f"{where}: expected question, answer and supporting numbers between tabs, found {rest[:60]!r}")
    question, answer, supporting = parts
    places = {str(number): place for place, number in enumerate(sentences)}
    unknown = [number for number in supporting.split() if number not in places]
    if unknown:
        raise BadData(f"{where}: supporting number {unknown[0]!r} is not a sentence of the story told so far")
    facts = tuple(places[number] for number in supporting.split())
    return Question(tuple(sentences.values()), question, answer, facts, story)


def load(source: Path) -> tuple[list[Question], list[Question]]:
    """Questions to learn from, and held-out ones, from a file or from all files of a folder together.

    `…_test.txt` beside `…_train.txt` is held out; without it, the last tenth of the stories is. Raises BadData.
    """
    files = sorted(source.glob("*.txt")) if source.is_dir() else [source]
    train_files = [file for file in files if file.name.endswith("_train.txt")] or files
    if not files:
        raise BadData(f"{source}: expected files in the bAbI format, *.txt, found none in this folder")
    train: list[Question] = []
    test: list[Question] = []
    for file in train_files:
        held_out = file.with_name(file.name.removesuffix("_train.txt") + "_test.txt")
        if held_out != file and file.name.endswith("_train.txt") and held_out.is_file():
            train += read(file)
            test += read(held_out)
        else:
            learnt, kept = hold_out(read(file), file)
            train += learnt
            test += kept
    return train, test


def hold_out(questions: list[Question], path: Path) -> tuple[list[Question], list[Question]]:
    """Part off the last tenth of the stories, one at least."""
    stories = questions[-1].story + 1
    if stories < 2:
        raise BadData(f"{path}: expected two stories or more, to hold one out; found {stories}")
    first_kept = stories - max(1, stories // 10)
    return [q for q in questions if q.story < first_kept], [q for q in questions if q.story >= first_kept]


# ---- The generator

PERSONS = ("Mary", "John", "Daniel", "Sandra")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
WAYS = ("moved to", "went to", "went back to", "journeyed to", "travelled to")
SENTENCES = 10
"""A story has ten sentences, with a question after every second."""
RECENT = 5
"""Who is asked for has moved in one of the last five sentences, and always to another place, as in task 1's files."""
LONGEST = SENTENCES * 7
"""Words and full stops of the longest text there can be: "Mary went back to the garden." has seven."""


def generate(count: int, rng: np.random.Generator) -> list[Question]:
    """`count` questions of one supporting fact: where somebody is now. The right answer is always in the text."""
    questions: list[Question] = []
    story = 0
    while len(questions) < count:
        questions += _story(rng, story)
        story += 1
    return questions[:count]


def _story(rng: np.random.Generator, story: int) -> Iterator[Question]:
    text: list[str] = []
    last: dict[str, tuple[str, int]] = {}  # person -> place, sentence
    for sentence in range(SENTENCES):
        person = PERSONS[rng.integers(len(PERSONS))]
        left = last[person][0] if person in last else None
        places = [place for place in PLACES if place != left]
        place = places[rng.integers(len(places))]
        text.append(f"{person} {WAYS[rng.integers(len(WAYS))]} the {place}.")
        last[person] = (place, sentence)
        if sentence % 2:
            recent = [person for person, (_, fact) in last.items() if sentence - fact < RECENT]
            asked = recent[rng.integers(len(recent))]
            answer, fact = last[asked]
            yield Question(tuple(text), f"Where is {asked}?", answer, (fact,), story)
