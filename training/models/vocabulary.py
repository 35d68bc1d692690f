"""Words and their numbers: one rule, once in numpy for training and once in the graph for serving.

    "John's at HOME, again." -> split -> ["johns", "at", "home", "again"] -> encode -> [[4, 2, 7, 1]] int32
    0: padding    1: a word that is not in the vocabulary    2, 3, …: the words, in order

The rule: lower case; apostrophes vanish; whatever is neither letter, mark nor digit (of any script) parts words. With
`sentences`, each of . ! and ? is a word of its own as well, written as SENTENCE_END.
`encode` and `graph_encoder` give the same numbers for the same text; `export.verify` compares them for every export.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from signet.training.model import Array

if TYPE_CHECKING:
    import tensorflow as tf

PADDING = 0
UNKNOWN = 1
FIRST = 2
"""The number of the first word."""

APOSTROPHES = "'’"
SENTENCE_ENDS = ".!?"
SENTENCE_END = "."


class _Blanks(dict[int, str | None]):
    """For `str.translate`: finds out about a character when it is first met."""

    def __init__(self, sentences: bool) -> None:
        super().__init__()
        self._sentences = sentences

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        if character in APOSTROPHES:
            self[code] = None
        elif self._sentences and character in SENTENCE_ENDS:
            self[code] = f" {SENTENCE_END} "
        else:
            self[code] = character if unicodedata.category(character)[0] in "LMN" else " "
        return self[code]


_BLANKS = {sentences: _Blanks(sentences) for sentences in (False, True)}


def split(text: str, sentences: bool = False) -> list[str]:
    """The words of a text; with `sentences`, their ends too."""
    return text.lower().translate(_BLANKS[sentences]).split()


class Vocabulary:
    """A list of words; each has a number. `sentences`: whether the ends of sentences are words."""

    def __init__(self, words: Sequence[str], sentences: bool = False) -> None:
        self.words = tuple(words)
        self.sentences = sentences
        self._numbers = {word: number for number, word in enumerate(self.words, FIRST)}

    @property
    def size(self) -> int:
        """One more than the highest number: rows of an embedding."""
        return len(self.words) + FIRST

    def numbers(self, text: str) -> list[int]:
        """The numbers of a text's words."""
        return [self._numbers.get(word, UNKNOWN) for word in split(text, self.sentences)]

    def encode(self, texts: Iterable[str], length: int | None = None) -> Array:
        """Texts -> int32 (texts, length), padded on the right; `length`: the longest text's, at least 1.

        What is longer than a given `length` is cut off.
        """
        return pad([self.numbers(text) for text in texts], length)

    def graph_encoder(self) -> tuple[Callable[[tf.Tensor], tf.Tensor], Any]:
        """`encode` in TensorFlow, string [texts] -> int32 [texts, longest], and the table that has to be kept with it."""
        import tensorflow as tf  # data files are read without it

        rows = tf.lookup.KeyValueTensorInitializer(
            tf.constant(self.words, tf.string), tf.range(FIRST, self.size, dtype=tf.int64)
        )
        table = tf.lookup.StaticHashTable(rows, default_value=UNKNOWN)

        def encode(texts: tf.Tensor) -> tf.Tensor:
            texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replacement_char=ord(" "))
            texts = tf.strings.lower(texts, encoding="utf-8")
            texts = tf.strings.regex_replace(texts, f"[{APOSTROPHES}]", "")
            if self.sentences:
                texts = tf.strings.regex_replace(texts, f"[{SENTENCE_ENDS}]", f" {SENTENCE_END} ")
            kept = SENTENCE_END if self.sentences else ""
            texts = tf.strings.regex_replace(texts, rf"[^\p{{L}}\p{{M}}\p{{N}}{kept}]+", " ")
            words = tf.strings.split(texts)
            numbers = tf.ragged.map_flat_values(table.lookup, words).to_tensor(PADDING)
            return tf.cast(numbers, tf.int32)

        return encode, table


def pad(rows: Sequence[Sequence[int]], length: int | None = None) -> Array:
    """Rows of numbers -> int32 (rows, length), zeros on the right; `length`: the longest row's, at least 1."""
    if length is None:
        length = max([1, *map(len, rows)])
    result = np.zeros((len(rows), length), np.int32)
    for target, row in zip(result, rows, strict=True):
        target[: len(row)] = row[:length]
    return result


def learn(
    texts: Iterable[str], *, most: int | None = None, least_count: int = 1, sentences: bool = False
) -> Vocabulary:
    """The words of the texts, the commonest first: at most `most`, each met `least_count` times or more."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split(text, sentences))
    kept = sorted((word for word in counts if counts[word] >= least_count), key=lambda word: (-counts[word], word))
    return Vocabulary(kept[:most], sentences)
