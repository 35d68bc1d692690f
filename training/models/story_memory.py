"""A network that reads a story sentence by sentence and looks up, in some hops, what a question is about.

    text     (batch, words) int32 ─▶ sentences (batch, memories, dim): vectors of words, weighted by place, summed ─┐
    question (batch, words) int32 ─▶ state (batch, dim) ─▶ hop: look at the sentences that match, add what they say ┴▶ …
        ─▶ state after the last hop ─▶ match with each answer's words ─▶ scores (batch, answers)

Sentences are counted from the newest, and only `memories` of them are remembered. A sentence goes up to the word `end`;
0 is padding, and any amount of it changes nothing. Text, question and answers are in the same words. Source: Sukhbaatar
et al., "End-To-End Memory Networks", arXiv:1503.08895: weights by place, a vector for each age, tables shared by
adjacent hops, by the first and the question, by the last and the answers; while learning, ages with random gaps, and at
first no softmax over the sentences. Added, each for some points on several tasks: the matrix and the relu between hops,
and for the question a table of differences from the first one, zero at the start.
"""

from typing import Any

import keras
from keras import layers, ops

from signet.training.model import Array
from signet.training.models.vocabulary import PADDING

NAME = "story_memory"
"""The layer's name in a model."""

GAPS = 0.1
"""While learning, so many ages are left out for each memory: which age goes with which answer is then not learnt by heart."""
SPREAD = 0.1
"""Standard deviation of the first weights."""


class StoryMemory(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A layer: [text, question] -> scores (batch, answers).

    `answers`: the numbers of each answer's words (answers, words), 0 where there are fewer.
    """

    def __init__(self, words: int, end: int, answers: Array, *, dim: int, hops: int, memories: int) -> None:
        super().__init__(name=NAME)
        self._words = words
        self._end = end
        self._answers = answers
        self._dim = dim
        self._hops = hops
        self._memories = memories
        self._random = keras.random.SeedGenerator()
        self.linear_steps = 0
        """Batches to learn from without the softmax, before those with it. Has to be set before the first."""

    def build(self, _: Any) -> None:
        """Make the weights: a table of words and one of ages for each end of a hop."""

        def tables(rows: int, name: str) -> list[keras.Variable]:
            spread = keras.initializers.RandomNormal(stddev=SPREAD)
            return [
                self.add_weight(shape=(rows, self._dim), initializer=spread, name=f"{name}_{number}")
                for number in range(self._hops + 1)
            ]

        self.words = tables(self._words, "words")
        self.ages = tables(self._memories, "ages")
        # What a word means only when it is asked with: "what is north of the hall?" is not "the hall is north of …".
        self.asked = self.add_weight(shape=(self._words, self._dim), initializer="zeros", name="asked")
        self.turn = self.add_weight(shape=(self._dim, self._dim), initializer="orthogonal", name="turn")
        self.steps = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="steps")

    def call(self, inputs: list[Any], training: bool = False) -> Any:
        """Read the question, then the story hop by hop, then choose."""
        text, question = inputs
        belongs, lengths, places = self._sentences(text)
        real = ops.cast(lengths > 0, self.compute_dtype)
        age = self._ages(text, training)

        def remember(number: int) -> Any:
            """The sentences (batch, memories, dim) as one of the tables has them."""
            sentences = ops.matmul(ops.transpose(belongs, (0, 2, 1)), self._vectors(self.words[number], text) * places)
            return sentences + ops.take(self._cast(self.ages[number]), age, axis=0) * real[..., None]

        asked = ops.cast(question != PADDING, self.compute_dtype)
        weights = self._place_weights(ops.cumsum(asked, axis=1), ops.sum(asked, axis=1, keepdims=True))
        vectors = self._vectors(ops.add(self.words[0], self.asked), question)
        state = ops.sum(vectors * weights * asked[..., None], axis=1)
        linear = self._count_step() if training else None
        values = remember(0)
        for number in range(1, self._hops + 1):
            keys, values = values, remember(number)
            match = ops.squeeze(ops.matmul(keys, state[..., None]), -1)
            attention = ops.softmax(ops.where(real > 0, match, ops.full_like(match, -1e4)), axis=-1) * real
            if linear is not None:
                attention = ops.where(linear, match * real, attention)
            read = ops.squeeze(ops.matmul(attention[:, None, :], values), 1)
            state = ops.relu(ops.matmul(state, self._cast(self.turn)) + read)
        named = ops.cast(self._answers != PADDING, self.compute_dtype)[..., None]
        answers = ops.sum(self._vectors(self.words[-1], self._answers) * named, axis=1)
        return ops.matmul(state, ops.transpose(answers))

    def _sentences(self, text: Any) -> tuple[Any, Any, Any]:
        """Which words belong to which sentence, (batch, words, memories) of 0 and 1; words in each sentence,
        (batch, memories); and the weight of each word by its place in its sentence, (batch, words, dim).
        """
        ends = ops.cast(text == self._end, "int32")
        word = ops.cast(text != PADDING, "int32") * (1 - ends)
        sentence = ops.cumsum(ends, axis=1) - ends
        newest = ops.max(sentence * word, axis=1, keepdims=True)
        age = ops.where(word > 0, newest - sentence, -1)  # -1: no sentence's
        belongs = ops.one_hot(age, self._memories, dtype="float32")
        lengths = ops.sum(belongs, axis=1)
        words = ops.cast(word, "float32")
        before = ops.sum(words, axis=1, keepdims=True) - ops.cumsum(lengths, axis=1)  # words older than each sentence
        place = ops.cumsum(words, axis=1) - ops.squeeze(ops.matmul(belongs, before[..., None]), -1)
        length = ops.squeeze(ops.matmul(belongs, lengths[..., None]), -1)
        return self._cast(belongs), lengths, self._place_weights(self._cast(place), self._cast(length))

    def _place_weights(self, place: Any, length: Any) -> Any:
        """How much the word at `place`, from 1, of `length` counts in each of the dimensions: (batch, words, dim)."""
        part = (place / ops.maximum(length, 1))[..., None]
        dimension = ops.arange(1, self._dim + 1, dtype=self.compute_dtype) / self._dim
        return (1 - part) - dimension * (1 - 2 * part)

    def _ages(self, text: Any, training: bool) -> Any:
        """The age of each memory, (batch, memories) int32: 0, 1, 2, …, while learning with gaps."""
        age = ops.arange(self._memories)[None, :]
        if not training:
            return ops.broadcast_to(age, (ops.shape(text)[0], self._memories))
        gaps = keras.random.uniform((ops.shape(text)[0], self._memories), dtype="float32", seed=self._random) < GAPS
        return ops.minimum(age + ops.cumsum(ops.cast(gaps, "int32"), axis=1), self._memories - 1)

    def _count_step(self) -> Any:
        """One more batch was learnt from; true in the first `linear_steps`."""
        step = ops.convert_to_tensor(self.steps)
        self.steps.assign(step + 1)
        return step < self.linear_steps

    def _vectors(self, table: Any, numbers: Any) -> Any:
        return ops.take(self._cast(table), numbers, axis=0)

    def _cast(self, tensor: Any) -> Any:
        return ops.cast(tensor, self.compute_dtype)
