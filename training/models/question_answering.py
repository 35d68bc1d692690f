"""Answers to questions about a story: two sequences of word numbers -> the chance of each answer.

    text, question (batch, words) int32 -> answer (batch, answers) float32, rows sum to 1

0 is padding and masked: padding changes no answer, so a row does not depend on its neighbours in a batch. 1 is an unknown
word. Two networks:

**default**: reads the story with the question in mind, sentence by sentence: `story_memory.py`. Ends of sentences are
words of the text; text, question and answers have one vocabulary.

**notebook**: text -> embedding 64 -> LSTM 32; question -> embedding 32 -> LSTM 16; both side by side -> dense. Each input
has a vocabulary of its own. Source: the notebook's two-branch network (7.1.2, listings 7-1 and 7-2). Mended: the
arguments of `Embedding`, the names `encoded_text` and `concatenated`, the mask, class numbers instead of one-hot rows of
500, real questions instead of random numbers. What it cannot learn: the softmax of f(text) + g(question) has no way to
pick the one fact that the question asks for. On stories of one supporting fact it stays near one half, as published
LSTMs do (0.50, Weston et al. 2015), however many stories it sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from signet.training.data import stories
from signet.training.data.stories import Question
from signet.training.model import Array, Arrays, Card, Data, Endpoint, Examples, Meaning, Recipe, Score, accuracy
from signet.training.models.story_memory import NAME, StoryMemory
from signet.training.models.vocabulary import SENTENCE_END, UNKNOWN, Vocabulary, learn

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=10, batch_rows=32, learning_rate=8e-3, train_rows=3_000, by_accuracy=True),
    "full": Recipe(epochs=20, batch_rows=32, learning_rate=8e-3, train_rows=10_000, by_accuracy=True),
}
NOTEBOOK_PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=10, batch_rows=64, learning_rate=5e-3, train_rows=3_000, by_accuracy=True),
    "full": Recipe(epochs=40, batch_rows=64, learning_rate=3e-3, train_rows=10_000, patience=15, by_accuracy=True),
}
FILE_QUESTIONS: Mapping[str, int] = {"quick": 30_000, "full": 100_000}
"""Questions that the default network learns from in all epochs together, where they come from files: 100 epochs of a thousand."""
LEAST_EPOCHS, MOST_EPOCHS = 20, 100
TEST_ROWS = 1_000
STEEPEST = 5.0
"""Longer gradients are made so long: without its softmax the default network has steep ones."""
LINEAR = 0.15
"""The share of all batches that the default network learns from without a softmax."""

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
    """Vocabularies and sizes of both networks; the sizes of embeddings and states are the notebook's."""

    text_words: Sequence[str]
    question_words: Sequence[str]
    answers: Sequence[str]
    architecture: str = "default"
    dim: int = 30
    hops: int = 3
    memories: int = 50
    text_embedding: int = 64
    text_state: int = 32
    question_embedding: int = 32
    question_state: int = 16

    @property
    def text(self) -> Vocabulary:
        """The vocabulary of the text: the default network has to see where sentences end."""
        return Vocabulary(self.text_words, sentences=self.architecture == "default")

    @property
    def question(self) -> Vocabulary:
        """The vocabulary of the question."""
        return Vocabulary(self.question_words)


@dataclass(frozen=True)
class StoryData(Data[Config]):
    """Beside the numbers the held-out questions themselves, in the same order."""

    questions: Sequence[Question]
    ceiling: float | None = None
    """The best accuracy there can be, where it is known: the answer to a generated question is always in its text."""


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> StoryData:
    """bAbI files, or generated stories of one supporting fact."""
    recipe = (NOTEBOOK_PRESETS if architecture == "notebook" else PRESETS)[preset]
    if source is not None:
        train, test = stories.load(source)
        config = learn_config(train, architecture)
        rows = examples(train, config)
        if architecture == "default":
            epochs = min(max(FILE_QUESTIONS[preset] // len(train), LEAST_EPOCHS), MOST_EPOCHS)
            recipe = replace(recipe, epochs=epochs)
        return StoryData(source.name, config, lambda _epoch: rows, examples(test, config), test, recipe=recipe)

    def generated(part: int, rows: int) -> list[Question]:
        return stories.generate(rows, np.random.default_rng([seed, part]))

    test = generated(0, TEST_ROWS)
    config = learn_config(generated(1, recipe.train_rows), architecture)
    return StoryData(
        "generated stories of one supporting fact, fresh in each epoch",
        config,
        lambda epoch: examples(generated(1 + epoch, recipe.train_rows), config, stories.LONGEST),
        examples(test, config),
        test,
        ceiling=1.0,
        recipe=recipe,
    )


def learn_config(questions: Sequence[Question], architecture: str) -> Config:
    """The vocabularies and answers that occur in the questions to learn from."""
    answers = tuple(sorted({question.answer for question in questions}))
    texts = [" ".join(question.text) for question in questions]
    asked = [question.question for question in questions]
    if architecture == "notebook":
        return Config(learn(texts).words, learn(asked).words, answers, architecture)
    # At least one end of a sentence: a story whose sentences have none is one sentence.
    words = learn([*texts, *asked, *answers, SENTENCE_END], sentences=True).words
    return Config(words, words, answers, architecture)


def examples(questions: Sequence[Question], config: Config, words: int | None = None) -> Examples:
    """Questions -> text (rows, words), question (rows, longest), answer (rows,); an answer never learnt is -1.

    `words`: how wide the text is, by default the longest. Only the newest sentences are learnt from and judged by: the
    default network remembers no more, and the notebook's reads no faster.
    """
    numbers = {answer: number for number, answer in enumerate(config.answers)}
    texts = (" ".join(question.text[-config.memories :]) for question in questions)
    return Examples(
        {
            "text": config.text.encode(texts, words),
            "question": config.question.encode(question.question for question in questions),
        },
        {"answer": np.array([numbers.get(question.answer, -1) for question in questions], np.int32)},
    )


def build_model(config: Config) -> keras.Model:
    """One of the two networks, for these vocabularies."""
    text = keras.Input((None,), dtype="int32", name="text")
    question = keras.Input((None,), dtype="int32", name="question")
    network = _two_branches if config.architecture == "notebook" else _memory
    return keras.Model([text, question], {"answer": network(config, text, question)})


def _memory(config: Config, text: keras.KerasTensor, question: keras.KerasTensor) -> keras.KerasTensor:
    (end,) = config.text.numbers(SENTENCE_END)
    answers = config.question.encode(config.answers)
    memory = StoryMemory(config.text.size, end, answers, dim=config.dim, hops=config.hops, memories=config.memories)
    return layers.Softmax(dtype="float32", name="answer")(memory([text, question]))


def _two_branches(config: Config, text: keras.KerasTensor, question: keras.KerasTensor) -> keras.KerasTensor:
    embedded_text = layers.Embedding(config.text.size, config.text_embedding, mask_zero=True)(text)
    encoded_text = layers.LSTM(config.text_state)(embedded_text)
    embedded_question = layers.Embedding(config.question.size, config.question_embedding, mask_zero=True)(question)
    encoded_question = layers.LSTM(config.question_state)(embedded_question)
    concatenated = layers.concatenate([encoded_text, encoded_question], axis=-1)
    return layers.Dense(len(config.answers), activation="softmax", dtype="float32", name="answer")(concatenated)


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Class numbers as targets: the notebook's categorical loss without its one-hot rows of 500."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    for layer in model.layers:
        if layer.name == NAME:
            layer.linear_steps = round(LINEAR * steps)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=STEEPEST),
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
    chosen = [int(sure.argmax()), *(row % data.test.rows for row in range(8))]
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
    text_vocabulary, question_vocabulary = config.text, config.question
    encode_text, text_table = text_vocabulary.graph_encoder()
    encode_question, question_table = question_vocabulary.graph_encoder()
    answers = np.array(config.answers, object)

    def chances(text: tf.Tensor, question: tf.Tensor) -> dict[str, tf.Tensor]:
        text = _known(text, text_vocabulary.size)
        question = _known(question, question_vocabulary.size)
        return {"answer": model([text, question], training=False)["answer"]}

    def answer(text: tf.Tensor, question: tf.Tensor) -> dict[str, tf.Tensor]:
        by_answer = chances(encode_text(text), encode_question(question))["answer"]
        best = tf.argmax(by_answer, axis=1)
        return {"answer": tf.gather(tf.constant(answers), best), "answer_probability": tf.reduce_max(by_answer, axis=1)}

    def reference_chances(inputs: Arrays) -> Arrays:
        return {"answer": _chances(model, inputs)}

    def reference_answer(inputs: Arrays) -> Arrays:
        by_answer = _chances(
            model,
            {
                "text": text_vocabulary.encode(inputs["text"]),
                "question": question_vocabulary.encode(inputs["question"]),
            },
        )
        return {"answer": answers[by_answer.argmax(axis=1)], "answer_probability": by_answer.max(axis=1)}

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
