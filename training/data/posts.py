"""What people write, and their age, income and gender: files, and a generator whose optimum is known.

    a file:  posts,age,income,gender                        Users(texts, age, income, gender)
             "off to the campus. met Doro.",19,0,female ──▶   ["off to the campus. met Doro."], [19.], [0], [0]
    generate(count, rng) ──▶ Users, and how often each telling word was written ──optimum──▶ the best guesses

Files are CSV, JSONL or Parquet. `posts` is one text, or a list of texts (in CSV: as JSON or pandas write one). `age` is in years.
`income` is a group from 0 to 9, or its name in INCOMES; `gender` is 0 or 1, or its name in GENDERS.

The generated people are made up, and so is what they write. A person's age, income and gender are drawn; then each post
is drawn without regard to the other posts: an idle remark, a word more usual at some ages, a word more usual at some
incomes, a word that one gender mostly uses of itself, or two things whose order speaks of gender. So the chance of
every (age, income, gender) given the posts is a product of known factors, and the best guess can be computed exactly.
"""

import ast
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.training.data import table
from signet.training.model import Array, BadData

COLUMNS = ("posts", "age", "income", "gender")
GENDERS = ("female", "male")
INCOMES = (
    "under 10,000",
    *(f"{thousands},000 to {thousands + 9},999" for thousands in range(10, 90, 10)),
    "90,000 or more",
)
"""The ten groups of income a year."""


@dataclass(frozen=True)
class Users:
    """People in rows: what they wrote and who they are."""

    texts: Sequence[str]
    """All posts of a person as one text."""
    age: Array
    """Years, float32 (rows,)."""
    income: Array
    """Number of the group, int32 (rows,)."""
    gender: Array
    """Number of the gender, int32 (rows,)."""

    def __getitem__(self, rows: Array) -> "Users":
        """The chosen rows: an array of row numbers."""
        return Users([self.texts[row] for row in rows], self.age[rows], self.income[rows], self.gender[rows])


# ---- Files


def read(path: Path) -> Users:
    """The people of one file, by its suffix. Raises BadData with file and line."""
    rows = [_row(where, values) for where, values in table.rows(path, COLUMNS)]
    if not rows:
        raise BadData(f"{path}: expected rows with the columns {', '.join(COLUMNS)}, found none")
    texts, age, income, gender = zip(*rows, strict=True)
    return Users(texts, np.array(age, np.float32), np.array(income, np.int32), np.array(gender, np.int32))


def _row(where: str, row: dict[str, Any]) -> tuple[str, float, int, int]:
    return (
        _text(where, row["posts"]),
        _age(where, row["age"]),
        _class(where, "income", row["income"], INCOMES),
        _class(where, "gender", row["gender"], GENDERS),
    )


def _text(where: str, value: Any) -> str:
    if isinstance(value, str):
        value = _listed(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(post, str) for post in value):
        return "\n".join(value)
    raise BadData(f"{where}: posts is {table.shown(value)}; expected a text or a list of texts")


def _listed(cell: str) -> Any:
    """A cell that is a list, as JSON or pandas write one, as a list; any other cell as it is."""
    if not cell.strip().startswith("[") or not cell.strip().endswith("]"):
        return cell
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list) and all(isinstance(post, str) for post in value):
            return value
    return cell


def _age(where: str, value: Any) -> float:
    try:
        age = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        age = math.nan
    if not 0 <= age <= 150:
        raise BadData(f"{where}: age is {table.shown(value)}; expected years, a number from 0 to 150")
    return age


def _class(where: str, column: str, value: Any, names: Sequence[str]) -> int:
    if str(value).strip().lower() in names:
        return names.index(str(value).strip().lower())
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if number not in range(len(names)):
        raise BadData(
            f"{where}: {column} is {table.shown(value)}; "
            f"expected a whole number from 0 to {len(names) - 1} or a name such as {names[0]!r}"
        )
    return int(number)


def hold_out(users: Users, path: Path) -> tuple[Users, Users]:
    """People to learn from, and a fifth of them that is held out. Raises BadData."""
    learnt, kept = (users[rows] for rows in table.fifth(path, len(users.texts), "rows"))
    table.check_several(path, "income", learnt.income.tolist())
    table.check_several(path, "gender", learnt.gender.tolist())
    return learnt, kept


# ---- The generator

AGES = np.arange(18, 81)
POSTS = (5, 20)
"""A person writes 5 to 24 posts, each number as likely."""

# fmt: off
AGE_WORDS = [
    "homework", "curfew", "prom", "exams", "campus", "dorm", "lectures", "semester", "internship", "flatshare",
    "festival", "thesis", "graduation", "nightclub", "hostel", "gig", "skateboard", "roommate", "dating",
    "marathon", "engagement", "wedding", "honeymoon", "nursery", "toddler", "pram", "kindergarten", "playground",
    "minivan", "lawn", "schoolrun", "braces", "teenagers", "orchestra", "commute", "reunion", "allotment",
    "insomnia", "backache", "gardening", "cholesterol", "bifocals", "sabbatical", "caravan", "grandchild",
    "knitting", "retirement", "pension", "cruise", "crossword", "hearing", "arthritis", "cardigan", "pills",
    "bridge", "bingo", "cane", "pacemaker", "memoirs", "hip",
]
# fmt: on
"""Words used at one age more than at others, from young to old."""
# fmt: off
INCOME_WORDS = [
    "foodbank", "overdraft", "coupons", "payday", "nightshift", "instalments", "rent", "overtime", "budget",
    "savings", "holiday", "promotion", "bonus", "renovation", "skiing", "portfolio", "dividends", "chalet",
    "chauffeur", "yacht",
]
# fmt: on
"""Words used at one income more than at others, from poor to rich."""
GENDER_WORDS = (("mother", "father"), ("sister", "brother"), ("woman", "man"))
"""What a person calls itself, by gender."""
# fmt: off
PAIRS = tuple(zip(
    ("tea", "cats", "salt", "rain", "bread", "maps", "silk", "lemons", "violins", "rivers", "candles", "ferns", "plums",
     "trams", "kites", "clay", "jazz", "owls", "chess", "soup", "lace", "brass", "moss", "mint", "sleds", "tents", "figs",
     "harps", "waltzes", "comics", "beads", "canoes", "olives", "snow", "quilts", "lanterns", "oysters", "pears",
     "drums", "scarves"),
    ("coffee", "dogs", "pepper", "sun", "cheese", "books", "wool", "limes", "pianos", "lakes", "lamps", "cacti",
     "peaches", "trains", "balloons", "stone", "opera", "hawks", "cards", "salad", "velvet", "copper", "bark", "basil",
     "skates", "cabins", "dates", "flutes", "tangos", "novels", "buttons", "yawls", "capers", "fog", "rugs", "torches",
     "mussels", "grapes", "cymbals", "gloves"),
    strict=True,
))
# fmt: on
"""Things named together; women of this made-up world mostly name the left one first, men the right one."""

AGE_SPREAD = 7.0
"""Years: standard deviation of the ages at which a word is used."""
INCOME_SPREAD = 1.3
"""Groups: standard deviation of the incomes at which a word is used."""
OWN_WORD, OWN_ORDER = 0.6, 0.85
"""Chance that a word of GENDER_WORDS, and that an order of PAIRS, is that of the person's own gender."""

IDLE, AGE, INCOME, PAIR = range(4)
KINDS = np.array([0.15, 0.35, 0.35, 0.15])
"""How often a post is of each kind, whoever writes it."""
REMARKS = {
    IDLE: ("met {} again", "{} says hello", "nothing new from {} today", "watched the birds with {}"),
    AGE: ("this {} is busy with the {}", "one {} remembers the {}", "any {} needs the {}"),
    INCOME: ("a {} worries about the {}", "every {} talks about the {}", "this {} pays for the {}"),
    PAIR: ("{} first and {} later", "{} before {} as always"),
}
NAMES = 3_000
"""Persons who are met; the n-th is met in proportion to 1/n, so most are rare words that mean nothing."""


def _bumps(places: Array, words: int, spread: float) -> Array:
    """How usual each of `words` words, in order along `places`, is at each place; rows sum to 1."""
    margin = (places[-1] - places[0]) / words
    centres = np.linspace(places[0] - margin, places[-1] + margin, words)
    weights = np.exp(-0.5 * ((places[:, None] - centres) / spread) ** 2)
    result: Array = weights / weights.sum(axis=1, keepdims=True)
    return result


AGE_TABLE = _bumps(AGES, len(AGE_WORDS), AGE_SPREAD)
INCOME_TABLE = _bumps(np.arange(len(INCOMES)), len(INCOME_WORDS), INCOME_SPREAD)


def _side_table(choices: int, own_side: float) -> Array:
    """Rows: the two genders. Columns: the left sides of all choices, then the right sides."""
    own = np.full(choices, own_side / choices)
    other = np.full(choices, (1 - own_side) / choices)
    return np.array([[*own, *other], [*other, *own]])


GENDER_TABLE = _side_table(len(GENDER_WORDS), OWN_WORD)
PAIR_TABLE = _side_table(len(PAIRS), OWN_ORDER)
TABLES = {AGE: AGE_TABLE, INCOME: INCOME_TABLE, PAIR: PAIR_TABLE}

_usual_income = 1.5 + 5 * np.exp(-0.5 * ((AGES - 52) / 16) ** 2)
INCOME_GIVEN_AGE = np.exp(-0.5 * ((np.arange(len(INCOMES)) - _usual_income[:, None]) / 2.0) ** 2)
INCOME_GIVEN_AGE /= INCOME_GIVEN_AGE.sum(axis=1, keepdims=True)
"""Rows: AGES. Columns: the groups. Ages and genders are drawn evenly."""


def generate(count: int, rng: np.random.Generator) -> tuple[Users, Array]:
    """`count` people, and their signals: how often each telling thing was written, int64 (count, columns).

    The columns are those of AGE_TABLE, INCOME_TABLE, GENDER_TABLE and PAIR_TABLE, one after the other.
    """
    age = rng.integers(len(AGES), size=count)
    income = _draw(INCOME_GIVEN_AGE[age], rng)
    gender = rng.integers(len(GENDERS), size=count)
    state = {AGE: age, INCOME: income, PAIR: gender}

    posts_of = rng.integers(POSTS[0], POSTS[1] + 1, size=count)
    person = np.repeat(np.arange(count), posts_of)
    kind = rng.choice(len(KINDS), size=len(person), p=KINDS)
    remark = rng.integers(12, size=len(person))  # 12 is a multiple of each number of remarks
    word = np.zeros(len(person), int)
    name_chances = 1 / np.arange(1, NAMES + 1)
    word[kind == IDLE] = rng.choice(NAMES, size=np.sum(kind == IDLE), p=name_chances / name_chances.sum())
    signals = []
    for telling, usual in TABLES.items():
        rows = kind == telling
        word[rows] = _draw(usual[state[telling][person[rows]]], rng)
        signals.append(_counts(count, person[rows], word[rows], usual.shape[1]))
    oneself = _draw(GENDER_TABLE[gender[person]], rng)
    rows = (kind == AGE) | (kind == INCOME)
    signals.append(_counts(count, person[rows], oneself[rows], GENDER_TABLE.shape[1]))

    posts = [
        post(*choice) for choice in zip(kind.tolist(), remark.tolist(), word.tolist(), oneself.tolist(), strict=True)
    ]
    ends = np.cumsum(posts_of)
    texts = [". ".join(posts[end - length : end]) + "." for end, length in zip(ends, posts_of, strict=True)]
    users = Users(texts, AGES[age].astype(np.float32), income.astype(np.int32), gender.astype(np.int32))
    return users, np.concatenate(signals, axis=1)


def _draw(chances: Array, rng: np.random.Generator) -> Array:
    """Draw a column for each row of chances."""
    result: Array = (rng.random((len(chances), 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return result


def post(kind: int, remark: int, word: int, oneself: int) -> str:
    """The text of one post: which kind, which of its remarks, which word, which word for oneself (columns of tables)."""
    text = REMARKS[kind][remark % len(REMARKS[kind])]
    if kind == IDLE:
        return text.format(_name(word))
    if kind == PAIR:
        side, choice = divmod(word, len(PAIRS))
        return text.format(PAIRS[choice][side], PAIRS[choice][1 - side])
    side, choice = divmod(oneself, len(GENDER_WORDS))
    topic = AGE_WORDS[word] if kind == AGE else INCOME_WORDS[word]
    return text.format(GENDER_WORDS[choice][side], topic)


def _counts(rows: int, row: Array, column: Array, columns: int) -> Array:
    """How often each (row, column) occurs, (rows, columns)."""
    counts = np.zeros((rows, columns), np.int64)
    np.add.at(counts, (row, column), 1)
    return counts


def _name(number: int) -> str:
    """A name for each number: 0 -> 'Bab', 17 -> 'Bef', …; distinct below 70 x 70 = 4,900."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    first, second = divmod(number, len(syllables))
    return (syllables[first] + syllables[second]).capitalize()


@dataclass(frozen=True)
class Guesses:
    """Age, income and gender of each person, as guessed from the posts."""

    age: Array
    income: Array
    gender: Array


def optimum(signals: Array) -> Guesses:
    """The best possible guesses: the median of age and the likeliest income and gender, given all the posts.

    Best for the mean absolute error of age and for the shares of right incomes and genders. `signals`: of `generate`.
    """
    chances = posterior(signals)
    by_age = chances.sum(axis=(2, 3)).cumsum(axis=1)
    return Guesses(
        age=AGES[(by_age < 0.5).sum(axis=1)].astype(np.float32),
        income=chances.sum(axis=(1, 3)).argmax(axis=1).astype(np.int32),
        gender=chances.sum(axis=(1, 2)).argmax(axis=1).astype(np.int32),
    )


def posterior(signals: Array) -> Array:
    """The chance of each (age, income, gender) given the posts, (rows, 63, 10, 2); each row sums to 1."""
    by_age, by_income, by_gender = np.split(signals, np.cumsum([AGE_TABLE.shape[1], INCOME_TABLE.shape[1]]), axis=1)
    log_age = by_age @ np.log(AGE_TABLE.T)
    log_income = by_income @ np.log(INCOME_TABLE.T)
    log_gender = by_gender @ np.log(np.concatenate([PAIR_TABLE, GENDER_TABLE], axis=1).T)
    logs = np.log(INCOME_GIVEN_AGE)[:, :, None] + (
        log_age[:, :, None, None] + log_income[:, None, :, None] + log_gender[:, None, None, :]
    )
    chances = np.exp(logs - logs.max(axis=(1, 2, 3), keepdims=True))
    result: Array = chances / chances.sum(axis=(1, 2, 3), keepdims=True)
    return result
