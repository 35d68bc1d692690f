"""Two writings of a name and an address, and whether they mean the same person: files, and a generator.

    a person: first and last name, number, street and kind of street, town
      ├─ same: the same person ─────────────────────────────┐
      └─ not:  mostly with one part changed, else another ──┴─▶ each written by itself: initials, abbreviations,
                                                                swapped names, typos ─▶ Pairs(left, right, same)

    "Marina Brandwick, 17 Oldergate Street, Sporthaven"    "Brandwick, M., 17 Oldegrate St., Sporthaven"    1

All names are made up of syllables; nobody is meant. A fifth of the syllables is kept for people whose names nobody has
learnt from: `generate(..., unseen=True)`. A pair has 1.5 typos on average (Poisson), in letters alone: a wrong digit is
another house. Files are CSV with a heading, JSON Lines (*.jsonl) or Parquet, with left, right and same, which is 0 or 1.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from signet.training.data import table
from signet.training.model import Array, BadData

COLUMNS = ("left", "right", "same")


@dataclass(frozen=True)
class Pairs:
    """Texts side by side. `same` (pairs,) float32: 1 where both mean the same, 0 where not."""

    left: Sequence[str]
    right: Sequence[str]
    same: Array

    def __len__(self) -> int:
        return len(self.same)

    def __getitem__(self, rows: Iterable[int]) -> "Pairs":
        rows = list(rows)
        return Pairs([self.left[row] for row in rows], [self.right[row] for row in rows], self.same[rows])


# ---- Files


def read(path: Path) -> Pairs:
    """The pairs of one file. Raises BadData with file and line."""
    rows = [_row(where, row) for where, row in table.rows(path, COLUMNS)]
    if not rows:
        raise BadData(f"{path}: expected pairs, found none")
    left, right, same = zip(*rows, strict=True)
    return Pairs(left, right, np.array(same, np.float32))


def _row(where: str, row: Mapping[str, Any]) -> tuple[str, str, int]:
    for name in COLUMNS[:2]:
        if not isinstance(row[name], str) or not row[name].strip():
            raise BadData(f"{where}: {name} is {table.shown(row[name])}; expected a text that is not empty")
    same = _SAME.get(str(row["same"]).strip().lower())
    if same is None:
        raise BadData(f"{where}: same is {table.shown(row['same'])}; expected 0 or 1")
    return row["left"], row["right"], same


_SAME = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
"""How programs write yes and no: pandas makes 1.0 of a column with gaps, and True of comparisons."""


def hold_out(pairs: Pairs, path: Path) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and a fifth of them that is held out. Raises BadData."""
    learnt, kept = (pairs[rows] for rows in table.fifth(path, len(pairs), "pairs"))
    table.check_several(path, "same", [int(value) for value in learnt.same])
    return learnt, kept


# ---- The generator

FIRST_STEMS = (
    "Mar El Jon Ker Tam Vel Dar Ros Bren Cor Hal Lin Nor Per Sel Tor Wil Al Bel Cal Dor Ed Fran Gar Har Is Jul Kat Lor "
    "Mel Nat Ol Pet Rob Sam Ter Ul Vic Wen Yv"
).split()
FIRST_ENDINGS = "a ia en in is ina ette ard o on us ine el ert".split()
ONSETS = "B Br C Cl Cr D Dr F Fl G Gr H J K L M N P Pr R S Sh Sl Sp St T Th Tr V W".split()
VOWELS = "a e i o u ea oo".split()
CODAS = "ck ll n nd ng r rd rk rn s sh st t x m ld".split()
LAST_ENDINGS = "ford wick man son ley er by well sen ham ing ow".split()
STREET_ENDINGS = "field bank gate wood hill brook mead grove end side".split()
TOWN_ENDINGS = "ton ville bury mouth port stead dale wich haven burg".split()
KINDS = (
    ("Street", "St."),
    ("Road", "Rd."),
    ("Avenue", "Ave."),
    ("Lane", "Ln."),
    ("Drive", "Dr."),
    ("Court", "Ct."),
    ("Square", "Sq."),
    ("Terrace", "Ter."),
)
HIGHEST_NUMBER = 199

FIRST, LAST, NUMBER, STREET, KIND, TOWN = range(6)
"""Columns of a person: numbers in the lists of `_Lists`."""
CHANGES = ((FIRST,), (LAST,), (NUMBER, STREET), (TOWN,))
"""What is another in a hard pair that does not match: one of these."""
HARD = 0.8
"""Share of these among the pairs that do not match; the rest has nothing in common."""
INITIAL, ABBREVIATED, SWAPPED = 0.15, 0.4, 0.15
"""Shares of the writings: "M." for the first name, "St." for the street, the last name first."""
TYPOS = 0.75
"""Typing errors in each of the two writings, on average."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class _Lists:
    """What a person is made of; `number` and `kind` are the same for all."""

    first: Sequence[str]
    last: Sequence[str]
    street: Sequence[str]
    town: Sequence[str]

    @property
    def sizes(self) -> tuple[int, ...]:
        return len(self.first), len(self.last), HIGHEST_NUMBER, len(self.street), len(KINDS), len(self.town)


@functools.cache
def _lists(unseen: bool) -> _Lists:
    stems = _part(FIRST_STEMS, unseen)
    syllables = _part(["".join(parts) for parts in product(ONSETS, VOWELS, CODAS)], unseen)

    def composed(starts: Sequence[str], endings: Sequence[str]) -> list[str]:
        return [start + ending for start, ending in product(starts, endings)]

    return _Lists(
        composed(stems, FIRST_ENDINGS),
        composed(syllables, LAST_ENDINGS),
        composed(syllables, STREET_ENDINGS),
        composed(syllables, TOWN_ENDINGS),
    )


def _part(syllables: Sequence[str], unseen: bool) -> list[str]:
    """Four fifths of them, or the other fifth; the same in every run."""
    order = np.random.default_rng(0).permutation(len(syllables))
    cut = len(syllables) // 5
    return [syllables[place] for place in (order[:cut] if unseen else order[cut:])]


def generate(rows: int, rng: np.random.Generator, *, unseen: bool = False) -> Pairs:
    """`rows` pairs, half of them the same. `unseen`: of syllables that no other pairs are made of."""
    lists = _lists(unseen)
    sizes = np.array(lists.sizes)
    left = rng.integers(sizes, size=(rows, len(sizes)))
    right = left.copy()
    same = rng.random(rows) < 0.5
    others = (left + 1 + rng.integers(sizes - 1, size=left.shape)) % sizes  # nowhere as in `left`
    hard = rng.random(rows) < HARD
    changed = np.array([[column in change for column in range(len(sizes))] for change in CHANGES])
    changed = changed[rng.integers(len(CHANGES), size=rows)] | ~hard[:, None]
    right = np.where(changed & ~same[:, None], others, right)
    return Pairs(_write(left, lists, rng), _write(right, lists, rng), same.astype(np.float32))


def _write(people: Array, lists: _Lists, rng: np.random.Generator) -> list[str]:
    initial, abbreviated, swapped = (rng.random((3, len(people))) < [[INITIAL], [ABBREVIATED], [SWAPPED]]).tolist()
    typos = rng.poisson(TYPOS, len(people)).tolist()
    texts = []
    for row, (first, last, number, street, kind, town) in enumerate(people.tolist()):
        given, family = lists.first[first], lists.last[last]
        if initial[row]:
            given = f"{given[0]}."
        name = f"{family}, {given}" if swapped[row] else f"{given} {family}"
        text = f"{name}, {number + 1} {lists.street[street]} {KINDS[kind][abbreviated[row]]}, {lists.town[town]}"
        for _ in range(typos[row]):
            text = _mistyped(text, rng)
        texts.append(text)
    return texts


def _mistyped(text: str, rng: np.random.Generator) -> str:
    """One letter is another, left out, doubled by another, or changes places with the next."""
    letters = [place for place, character in enumerate(text) if character.isalpha()]
    place, how, which = (int(share * size) for share, size in zip(rng.random(3), (len(letters), 4, 26), strict=True))
    at = letters[place]
    before, character, after = text[:at], text[at], text[at + 1 :]
    if how == 0:
        return before + LETTERS[which] + after
    if how == 1:
        return before + after
    if how == 2 or not after[:1].isalpha():
        return before + character + LETTERS[which] + after
    return before + after[0] + character + after[1:]


# ---- What can be said of two texts without learning: for the baseline.


def measures(pairs: Pairs) -> Array:
    """Likeness of each pair, (pairs, 11) float32: edit distances, common letter pairs, words and numbers."""
    left, right = (_words(texts) for texts in (pairs.left, pairs.right))
    plain = [(" ".join(a), " ".join(b)) for a, b in zip(left, right, strict=True)]
    ordered = [(" ".join(sorted(a)), " ".join(sorted(b))) for a, b in zip(left, right, strict=True)]
    columns: list[Any] = [_likeness(plain), _likeness(ordered)]
    columns += [[_jaccard(_grams(a, size), _grams(b, size)) for a, b in plain] for size in (2, 3)]
    words = [(set(a), set(b)) for a, b in zip(left, right, strict=True)]
    columns.append([_jaccard(a, b) for a, b in words])
    columns.append([len(a & b) / max(1, min(len(a), len(b))) for a, b in words])
    columns.append([_jaccard(*({word for word in side if word.isdigit()} for side in pair)) for pair in words])
    columns.append([min(map(len, a | b), default=0) for a, b in words])
    table: Array = np.column_stack([*columns, _best_words(left, right)]).astype(np.float32)
    return table


def letter_pairs(pairs: Pairs) -> Array:
    """How many pairs of letters both have in common, as a share: Jaccard's measure, (pairs,)."""
    sides = ([" ".join(words) for words in _words(texts)] for texts in (pairs.left, pairs.right))
    return np.array([_jaccard(_grams(a, 2), _grams(b, 2)) for a, b in zip(*sides, strict=True)])


def _words(texts: Iterable[str]) -> list[list[str]]:
    """The words of a text: letters and digits, in lower case."""
    return ["".join(character if character.isalnum() else " " for character in text.lower()).split() for text in texts]


def _grams(text: str, size: int) -> set[str]:
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def _best_words(left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> Array:
    """(pairs, 3): over the words of both sides, how like the likest word opposite is: mean, least, second least."""
    compared = [(a, b) for ours, theirs in zip(left, right, strict=True) for a, b in product(ours, theirs)]
    known = sorted(set(compared))
    begun = [0.9 if a.startswith(b) or b.startswith(a) else 0.0 for a, b in known]  # "M." and "Marina"
    values = dict(zip(known, np.maximum(_likeness(known), begun).tolist(), strict=True))
    result = np.zeros((len(left), 3))
    for row, (ours, theirs) in enumerate(zip(left, right, strict=True)):
        if ours and theirs:
            best = [max(values[a, b] for b in theirs) for a in ours] + [max(values[a, b] for a in ours) for b in theirs]
            best.sort()
            result[row] = np.mean(best), best[0], best[min(2, len(best) - 1)]
    return result


def _likeness(pairs: Sequence[tuple[str, str]]) -> Array:
    """1 for equal texts, 0 for such that have nothing in common: 1 - edit distance / length of the longer."""
    longer = np.array([max(1, len(a), len(b)) for a, b in pairs])
    likeness: Array = 1 - edit_distances(pairs) / longer
    return likeness


def edit_distances(pairs: Sequence[tuple[str, str]]) -> Array:
    """The least number of letters to put in, take out or change; for all pairs at once, (pairs,)."""
    if not pairs:
        return np.zeros(0)
    a, b = (np.array(side, np.str_) for side in zip(*pairs, strict=True))
    lengths_a, lengths_b = np.char.str_len(a), np.char.str_len(b)
    width_a, width_b = max(1, lengths_a.max()), max(1, lengths_b.max())
    codes_a = a.astype(f"U{width_a}").view(np.uint32).reshape(len(a), width_a).T.copy()
    codes_b = b.astype(f"U{width_b}").view(np.uint32).reshape(len(b), width_b).T.copy()
    line = np.tile(np.arange(width_b + 1, dtype=np.int16)[:, None], (1, len(a)))  # [j]: from "" to b[:j]
    result: Array = np.where(lengths_a == 0, lengths_b, 0)
    everything = np.arange(len(a))
    for i in range(width_a):
        diagonal, line[0] = line[0].copy(), i + 1
        for j in range(width_b):
            change = diagonal + (codes_a[i] != codes_b[j])
            diagonal = line[j + 1].copy()
            line[j + 1] = np.minimum(np.minimum(line[j], diagonal) + 1, change)
        result = np.where(lengths_a == i + 1, line[lengths_b, everything], result)
    return result
