"""Answers to questions about a story: two sequences of word numbers -> the chance of each answer.

    text     (batch, words) int32 -> embedding 64 -> LSTM 32 ──┐
    question (batch, words) int32 -> embedding 32 -> LSTM 16 ──┴─▶ concatenated (batch, 48) -> answer (batch, answers) float32

0 is padding and masked: padding changes no answer, so a row does not depend on its neighbours in a batch. 1 is an unknown
word; each input has a vocabulary of its own. Source: the notebook's two-branch network (7.1.2, listings 7-1 and 7-2).
Mended: the arguments of `Embedding`, the names `encoded_text` and `concatenated`, the mask, class numbers instead of
one-hot rows of 500, real questions instead of random numbers.

What it can learn: the softmax of f(text) + g(question) cannot pick the one fact that the question asks for. On stories of
one supporting fact it stays near one half, as published LSTMs do (0.50, Weston et al. 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from training.data import stories
from training.data.stories import Question
from training.model import Array, Arrays, Card, Data, Endpoint, Examples, Meaning, Recipe, Score, accuracy
from training.vocabulary import UNKNOWN, Vocabulary, learn

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=10, batch_rows=64, learning_rate=5e-3, train_rows=3_000),
    "full": Recipe(epochs=40, batch_rows=64, learning_rate=3e-3, train_rows=10_000),
}
TEST_ROWS = 1_000

CARD = Card(
    purpose="Answers a question about a short story by one of the answers that it has learnt.",
    data="Stories and questions made up by a program in the words of bAbI task 1; or bAbI files (--data).",
    inputs={
        "text": Meaning(
            "the story, as word numbers", "", "0: padding, 1: an unknown word, 2 and up: words; others count as 1"
        ),
        "question": Meaning("the question, as word numbers", "", "as in text, by the vocabulary of questions"),
        "from_text/text": Meaning("the story", "", "UTF-8 text; sentences end with a full stop"),
        "from_text/question": Meaning("the question", "", "UTF-8 text"),
    },
    outputs={
        "answer": Meaning("the chance of each answer", "", "0 to 1, a row sums to 1", lambda config: config.answers),
        "from_text/answer": Meaning("the likeliest answer", "", "one of the answers that were learnt"),
        "from_text/answer_probability": Meaning("the chance of that answer", "", "0 to 1"),
    },
    limits=[
        "It knows the words and answers that it has learnt from and no others; an unknown word is passed over.",
        "It always gives one of its answers, also where the text has none.",
        "Word numbers belong to the vocabulary of this very version; `from_text` needs none.",
    ],
)


@dataclass(frozen=True)
class Config:
    """Vocabularies and sizes; the sizes are the notebook's."""

    text_words: Sequence[str]
    question_words: Sequence[str]
    answers: Sequence[str]
    text_embedding: int = 64
    text_state: int = 32
    question_embedding: int = 32
    question_state: int = 16


@dataclass(frozen=True)
class StoryData(Data[Config]):
    """Beside the numbers the held-out questions themselves, in the same order."""

    questions: Sequence[Question]
    ceiling: float | None = None
    """The best accuracy there can be, where it is known: the answer to a generated question is always in its text."""


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> StoryData:
    """bAbI files, or generated stories of one supporting fact."""
    if source is not None:
        train, test = stories.load(source)
        config = learn_config(train)
        rows = examples(train, config)
        return StoryData(source.name, config, lambda _epoch: rows, examples(test, config), test)

    def generated(part: int, rows: int) -> list[Question]:
        return stories.generate(rows, np.random.default_rng([seed, part]))

    rows_per_epoch = PRESETS[preset].train_rows
    test = generated(0, TEST_ROWS)
    config = learn_config(generated(1, rows_per_epoch))
    return StoryData(
        "generated stories of one supporting fact, fresh in each epoch",
        config,
        lambda epoch: examples(generated(1 + epoch, rows_per_epoch), config, stories.LONGEST),
        examples(test, config),
        test,
        ceiling=1.0,
    )


def learn_config(questions: Sequence[Question]) -> Config:
    """The words and answers that occur."""
    return Config(
        text_words=learn(" ".join(question.text) for question in questions).words,
        question_words=learn(question.question for question in questions).words,
        answers=tuple(sorted({question.answer for question in questions})),
    )


def examples(questions: Sequence[Question], config: Config, words: int | None = None) -> Examples:
    """Questions -> text (rows, words), question (rows, longest), answer (rows,); an answer never learnt is -1.

    `words`: how wide the text is, by default the longest; XLA wants it the same in each epoch.
    """
    numbers = {answer: number for number, answer in enumerate(config.answers)}
    return Examples(
        {
            "text": Vocabulary(config.text_words).encode((" ".join(question.text) for question in questions), words),
            "question": Vocabulary(config.question_words).encode(question.question for question in questions),
        },
        {"answer": np.array([numbers.get(question.answer, -1) for question in questions], np.int32)},
    )


def build_model(config: Config) -> keras.Model:
    """The notebook's network for these vocabularies."""
    text = keras.Input((None,), dtype="int32", name="text")
    embedded_text = layers.Embedding(Vocabulary(config.text_words).size, config.text_embedding, mask_zero=True)(text)
    encoded_text = layers.LSTM(config.text_state)(embedded_text)

    question = keras.Input((None,), dtype="int32", name="question")
    question_size = Vocabulary(config.question_words).size
    embedded_question = layers.Embedding(question_size, config.question_embedding, mask_zero=True)(question)
    encoded_question = layers.LSTM(config.question_state)(embedded_question)

    concatenated = layers.concatenate([encoded_text, encoded_question], axis=-1)
    answer = layers.Dense(len(config.answers), activation="softmax", name="answer")(concatenated)
    return keras.Model([text, question], {"answer": answer})


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Class numbers as targets: the notebook's categorical loss without its one-hot rows of 500."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def evaluate(model: keras.Model, data: StoryData) -> list[Score]:
    """Accuracy, beside always giving the commonest answer."""
    truth = data.test.targets["answer"]
    predicted = _chances(model, data.test.inputs).argmax(axis=1)
    commonest = np.bincount(data.epoch(0).targets["answer"]).argmax()
    baselines = {"commonest answer": accuracy(np.full_like(truth, commonest), truth)}
    return [Score("answer", "accuracy", accuracy(predicted, truth), baselines, data.ceiling)]


def golden(model: keras.Model, data: StoryData) -> dict[str, Arrays]:
    """A short story that is answered rightly and surely, then the first questions, then odd texts."""
    chances = _chances(model, data.test.inputs)
    sure = np.where(chances.argmax(axis=1) == data.test.targets["answer"], chances.max(axis=1), 0)
    words = np.count_nonzero(data.test.inputs["text"], axis=1)
    sure = np.where(words <= np.median(words), sure, 0)
    chosen = [int(sure.argmax()), *range(8)]
    questions = [data.questions[row] for row in chosen]
    odd = ("", "MARY—moved!  to\tthe kitchen", "Zoë's naïve   café ２０, İstanbul \u2026 東京")
    return {
        "serving_default": data.test[np.array(chosen)].inputs,
        "from_text": {
            "text": np.array([*(" ".join(question.text) for question in questions), *odd], object),
            "question": np.array([*(question.question for question in questions), *odd[::-1]], object),
        },
    }


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """`serving_default`: numbers in, chances out. `from_text`: strings in, the likeliest answer and its chance out."""
    text_vocabulary, question_vocabulary = Vocabulary(config.text_words), Vocabulary(config.question_words)
    encode_text, text_table = text_vocabulary.graph_encoder()
    encode_question, question_table = question_vocabulary.graph_encoder()
    answers = np.array(config.answers, object)

    def chances(text: tf.Tensor, question: tf.Tensor) -> dict[str, tf.Tensor]:
        text = _known(text, text_vocabulary.size)
        question = _known(question, question_vocabulary.size)
        return {"answer": model([text, question], training=False)["answer"]}

    def answer(text: tf.Tensor, question: tf.Tensor) -> dict[str, tf.Tensor]:
        given = chances(encode_text(text), encode_question(question))["answer"]
        best = tf.argmax(given, axis=1)
        return {"answer": tf.gather(tf.constant(answers), best), "answer_probability": tf.reduce_max(given, axis=1)}

    def reference_chances(inputs: Arrays) -> Arrays:
        return {"answer": _chances(model, inputs)}

    def reference_answer(inputs: Arrays) -> Arrays:
        given = _chances(
            model,
            {
                "text": text_vocabulary.encode(inputs["text"]),
                "question": question_vocabulary.encode(inputs["question"]),
            },
        )
        return {"answer": answers[given.argmax(axis=1)], "answer_probability": given.max(axis=1)}

    numbers = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("text", "question")]
    strings = [tf.TensorSpec([None], tf.string, name=name) for name in ("text", "question")]
    return {
        "serving_default": Endpoint(numbers, chances, reference_chances),
        "from_text": Endpoint(strings, answer, reference_answer, [text_table, question_table]),
    }


def _known(numbers: tf.Tensor, size: int) -> tf.Tensor:
    """Numbers outside the vocabulary become 'unknown': on a CPU one of them would fail its whole batch. Width 0 becomes 1."""
    numbers = tf.where((numbers >= 0) & (numbers < size), numbers, UNKNOWN)
    return tf.pad(numbers, [[0, 0], [0, 1]])


def _chances(model: keras.Model, inputs: Arrays) -> Array:
    chances: Array = model.predict([inputs["text"], inputs["question"]], batch_size=256, verbose=0)["answer"]
    return chances
