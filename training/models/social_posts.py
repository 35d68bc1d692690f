"""Who writes like this: the posts of one person as word numbers -> age, income and gender.

    posts (batch, words) int32 -> age    (batch, 1) float32, years
                                  income (batch, 10) float32, chances of the groups
                                  gender (batch, 1) float32, chance of 'male'

0 is padding, 1 an unknown word. Any number of words from 0 on can be sent, and padding changes nothing. Two networks:

**default**: counts. Embedding 64 -> a convolution over 5 words, for words whose order tells something; sums of both over
the text, and the greatest of the convolution -> dense 128 -> the three outputs. When posts are written without regard to
each other, sums of what each of them tells are all there is to know.

**notebook**: embedding 256 -> convolution 128, pool 5 -> convolutions 256, 256, pool 5 -> convolutions 256, 256 ->
greatest over the text -> dense 128 -> the three outputs; all convolutions span 5 words. Source: the notebook's network
with three outputs (7.1.3, listings 7-3 to 7-6). Mended: the swapped arguments of `Embedding`, the three outputs in one
run with their losses, class numbers instead of one-hot rows, a blank that Python 3 refuses, data. The greatest tells
whether a word occurs and not how often, so it stays behind the other network.

**Its length.** Its last layer sees SPAN = 269 words, every STEP = 25 words, and takes the greatest of what it sees.
Fewer words raise an error; and padding, which is seen like a word, would make an answer depend on the longest neighbour
in a batch. So every text is followed by enough padding that the last position sees nothing else: `TAIL`. More padding
then changes nothing. The endpoints add it, training does the same in numpy.

**Loss weights.** With the notebook's (0.25, 1, 10) the squared error of age starts at hundreds and income's loss at 2.3:
in its own network age then drowns income. LOSS_WEIGHTS are the ones used. The default network, which has an easy way
from each word to each output, bears both: the full preset trains it with the notebook's too and prints what they gave.
Age starts at the mean of what is learnt from.

**First weights.** With Keras' own, the signal of a single word is lost on its way through the notebook's five
convolutions, and the quick preset ends before it is found. So each of them starts by passing its middle word on, with a
little noise; words start far enough apart to be told, and the scale of age is in its first weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from signet.training.data import posts as posts_data
from signet.training.data.posts import GENDERS, INCOMES, Guesses, Users
from signet.training.model import Array, Arrays, Card, Data, Endpoint, Examples, Meaning, Recipe, Score, accuracy
from signet.training.models import counting
from signet.training.models.vocabulary import PADDING, UNKNOWN, Vocabulary, learn

OUTPUTS = ("age", "income", "gender")
LOSSES = {"age": "mse", "income": "sparse_categorical_crossentropy", "gender": "binary_crossentropy"}
METRICS = {"age": "mae", "income": "accuracy", "gender": "accuracy"}
NOTEBOOK_LOSS_WEIGHTS = {"age": 0.25, "income": 1.0, "gender": 10.0}
LOSS_WEIGHTS = {"age": 0.01, "income": 1.0, "gender": 1.0}

USUAL_WORDS = 20.0
"""Sums over a text are divided by this, which makes them about as large as the greatest."""
WORD_SPREAD = 0.3
"""Standard deviation of a word's first numbers."""
KERNEL_NOISE = 0.1
"""Share of the usual random weights in a convolution's first ones."""
AGE_SPREAD_YEARS = 18.0
"""Standard deviation of ages, about: the scale of the first weights of age."""

SPAN = 269
"""Words that one position of the last layer sees: fewer cannot be computed."""
STEP = 25
"""Words from one such position to the next."""
TAIL = SPAN + STEP - 1
"""Padding after which further padding changes nothing."""
LONGEST = 1_000
"""Words of one person that are learnt from; the rest is left out. Serving has no such limit."""

GENERATED_WORDS = 175
"""Words of one generated person: every epoch has new people, and the network is compiled for one width."""

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=8, batch_rows=32, learning_rate=2e-3, train_rows=8_000),
    "full": Recipe(epochs=40, batch_rows=64, learning_rate=2e-3, train_rows=16_000),
}
NOTEBOOK_PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=6, batch_rows=32, learning_rate=2e-3, train_rows=8_000),
    "full": Recipe(epochs=60, batch_rows=64, learning_rate=1e-3, train_rows=16_000),
}
TEST_ROWS = {"quick": 2_000, "full": 10_000}

CARD = Card(
    purpose="Guesses age, income and gender of a person from what the person wrote. It shows a network with one input and "
    "three outputs, and how far words give people away.",
    data="People and posts made up by a program, whose best possible guesses are known; or a file of one's own (--data).",
    inputs={
        "posts": Meaning(
            "all posts of a person, as word numbers",
            "",
            "0: padding, 1: a word not in the vocabulary, 2 and up: words by frequency; others count as 1",
        ),
        "from_text/posts": Meaning(
            "all posts of a person, joined by blanks", "", "UTF-8 text; case and punctuation do not count"
        ),
    },
    outputs={
        "age": Meaning("age", "years", "any number; made-up people are 18 to 80"),
        "income": Meaning("the chance of each income group", "", "0 to 1, a row sums to 1", INCOMES),
        "gender": Meaning("the chance of 'male'", "", "0 to 1; above one half: male"),
        "from_text/income": Meaning("the likeliest income group", "a year", "the name of one of ten groups"),
        "from_text/income_probability": Meaning("the chance of that group", "", "0.1 to 1"),
        "from_text/gender": Meaning("the likelier gender", "", "'female' or 'male'"),
        "from_text/gender_probability": Meaning("the chance of that gender", "", "0.5 to 1"),
    },
    limits=[
        "Not for decisions about people: guesses from word counts, on two genders and ten groups, however sure they look.",
        "Learnt from made-up people unless --data gave others: it knows nothing of how real people write.",
        "Word numbers belong to the vocabulary of this very version; `from_text` needs none.",
    ],
)


@dataclass(frozen=True)
class Config:
    """Vocabulary and sizes; the sizes are the notebook's, with its 50,000 words in `words`."""

    words: Sequence[str]
    age_mean: float
    architecture: str = "default"
    default_embedding: int = 64
    default_filters: int = 64
    embedding: int = 256
    first_filters: int = 128
    filters: int = 256
    dense: int = 128


QUICK_SIZES = {"embedding": 64, "first_filters": 64, "filters": 64, "dense": 64}
MOST_WORDS = 50_000
COMMON_ENOUGH = 100
"""A word met less often than once in so many texts is an unknown word. Rare words would be learnt by heart, and among many
words each is seldom the greatest, which is all that pooling lets through: with them gender was found by one seed in three."""


@dataclass(frozen=True)
class PostsData(Data[Config]):
    """Beside the numbers the held-out people themselves, and the best possible guesses if they are generated."""

    users: Users
    best: Guesses | None = None
    rival: Recipe | None = None
    """How the same network is trained with the notebook's loss weights, to tell what they are worth; None: it is not."""


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> PostsData:
    """A CSV, JSONL or Parquet file, or generated people."""
    sizes = QUICK_SIZES if preset == "quick" else {}
    recipe = (NOTEBOOK_PRESETS if architecture == "notebook" else PRESETS)[preset]
    if source is not None:
        train, test = posts_data.hold_out(posts_data.read(source), source)
        config = learn_config(train, architecture, sizes)
        rows = examples(train, config)
        return PostsData(source.name, config, lambda _epoch: rows, examples(test, config), test, recipe=recipe)

    def generated(part: int, rows: int) -> tuple[Users, Array]:
        return posts_data.generate(rows, np.random.default_rng([seed, part]))

    test, signals = generated(0, TEST_ROWS[preset])
    config = learn_config(generated(1, recipe.train_rows)[0], architecture, sizes)
    return PostsData(
        "generated people, fresh in each epoch",
        config,
        lambda epoch: examples(generated(1 + epoch, recipe.train_rows)[0], config, GENERATED_WORDS),
        examples(test, config, GENERATED_WORDS),
        test,
        posts_data.optimum(signals),
        recipe=recipe,
        rival=recipe if (preset, architecture) == ("full", "default") else None,
    )


def learn_config(users: Users, architecture: str, sizes: Mapping[str, int]) -> Config:
    """The words that occur often enough, and the mean age."""
    words = learn(users.texts, most=MOST_WORDS, least_count=1 + len(users.texts) // COMMON_ENOUGH).words
    return Config(words, float(users.age.mean()), architecture, **sizes)


def examples(users: Users, config: Config, most_words: int = LONGEST) -> Examples:
    """People -> posts (rows, words + padding) int32; age, income and gender (rows,). Later words are left out."""
    numbers = Vocabulary(config.words).encode(users.texts)[:, :most_words]
    width = enough(config, numbers.shape[1] if most_words == LONGEST else most_words)
    return Examples(
        {"posts": np.pad(numbers, [(0, 0), (0, width - numbers.shape[1])])},
        {"age": users.age, "income": users.income, "gender": users.gender},
    )


def enough(config: Config, words: int) -> int:
    """How wide the network wants texts of so many words: as they are, or with padding for the notebook's."""
    return least_width(words) if config.architecture == "notebook" else max(words, 1)


def least_width(words: int) -> int:
    """Words and padding, such that the last position that is computed sees padding alone; at most `words` + TAIL."""
    return -(-words // STEP) * STEP + SPAN


def build_model(config: Config) -> keras.Model:
    """One of the two networks. The notebook's takes texts of SPAN words or more; the endpoints see to that."""
    posts = keras.Input((None,), dtype="int32", name="posts")
    x = (_greatest if config.architecture == "notebook" else _counts)(config, posts)
    x = layers.Dense(config.dense, activation="relu")(x)
    age = layers.Dense(
        1,
        dtype="float32",
        name="age",
        bias_initializer=keras.initializers.Constant(config.age_mean),
        kernel_initializer=keras.initializers.VarianceScaling(AGE_SPREAD_YEARS**2),
    )(x)
    income = layers.Dense(len(INCOMES), activation="softmax", dtype="float32", name="income")(x)
    gender = layers.Dense(1, activation="sigmoid", dtype="float32", name="gender")(x)
    return keras.Model(posts, [age, income, gender])


def _counts(config: Config, posts: keras.KerasTensor) -> keras.KerasTensor:
    """Sums over the text, and the greatest; padding is zero before and after the convolution, so it adds nothing."""
    size = Vocabulary(config.words).size
    word = ops.expand_dims(ops.cast(ops.not_equal(posts, PADDING), keras.config.floatx()), -1)
    spread = keras.initializers.RandomNormal(stddev=WORD_SPREAD)
    embedded = layers.Embedding(size, config.default_embedding, embeddings_initializer=spread)(posts)
    embedded = layers.Multiply()([embedded, word])
    local = layers.Conv1D(config.default_filters, 5, padding="same", activation="relu")(embedded)
    local = layers.Multiply()([local, word])
    sums = ops.sum(layers.concatenate([embedded, local]), axis=1)
    return layers.concatenate([layers.Rescaling(1 / USUAL_WORDS)(sums), ops.max(local, axis=1)])


def _greatest(config: Config, posts: keras.KerasTensor) -> keras.KerasTensor:
    spread = keras.initializers.RandomNormal(stddev=WORD_SPREAD)
    x = layers.Embedding(Vocabulary(config.words).size, config.embedding, embeddings_initializer=spread)(posts)
    x = _convolution(config.first_filters)(x)
    x = layers.MaxPooling1D(5)(x)
    x = _convolution(config.filters)(x)
    x = _convolution(config.filters)(x)
    x = layers.MaxPooling1D(5)(x)
    x = _convolution(config.filters)(x)
    x = _convolution(config.filters)(x)
    return layers.GlobalMaxPooling1D()(x)


def _convolution(filters: int) -> layers.Conv1D:
    return layers.Conv1D(filters, 5, activation="relu", kernel_initializer=_pass_on)


def _pass_on(shape: tuple[int, int, int], dtype: str | None = None) -> tf.Tensor:
    """A kernel (words, channels in, channels out) that passes the middle word's channels on, with noise around."""
    kernel = np.array(keras.initializers.GlorotUniform()(shape)) * KERNEL_NOISE
    kernel[shape[0] // 2] += np.eye(shape[1], shape[2])
    return keras.ops.convert_to_tensor(kernel, dtype or "float32")


def compile_model(
    model: keras.Model, recipe: Recipe, steps: int, loss_weights: Mapping[str, float] = LOSS_WEIGHTS
) -> None:
    """One loss and one weight for each output, by name."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), loss=LOSSES, loss_weights=dict(loss_weights), metrics=METRICS)


def guesses(model: keras.Model, inputs: Arrays) -> Guesses:
    """Age, income and gender that the model finds for padded posts."""
    age, income, gender = model.predict(inputs["posts"], batch_size=256, verbose=0)
    return Guesses(age[:, 0], income.argmax(axis=1), (gender[:, 0] > 0.5).astype(np.int32))


def evaluate(model: keras.Model, data: PostsData) -> list[Score]:
    """Mean error of age and the shares of right incomes and genders, beside simpler guesses and the best possible."""
    truth = data.test.targets
    learnt = data.epoch(0)
    others = {
        "one guess for all": Guesses(
            learnt.targets["age"].mean(),
            np.asarray(np.bincount(learnt.targets["income"]).argmax()),
            np.asarray(np.bincount(learnt.targets["gender"]).argmax()),
        ),
        "words and pairs": counted(learnt, data.test, data.config),
    }
    if data.rival:
        others["the notebook's loss weights"] = guesses(notebook_weighted(data, data.rival), data.test.inputs)
    guessed = guesses(model, data.test.inputs)

    def score(output: str, metric: str) -> Score:
        measure = _mean_error if output == "age" else accuracy
        beside = {name: measure(getattr(other, output), truth[output]) for name, other in others.items()}
        ceiling = measure(getattr(data.best, output), truth[output]) if data.best else None
        return Score(output, metric, measure(getattr(guessed, output), truth[output]), beside, ceiling)

    return [score("age", "mean error in years"), score("income", "accuracy"), score("gender", "accuracy")]


def counted(learnt: Examples, judged: Examples, config: Config) -> Guesses:
    """What linear models on counts of words and pairs make of the same people, from one epoch's."""
    features = counting.learn(learnt.inputs["posts"], Vocabulary(config.words).size)
    known, new = (counting.counts(part.inputs["posts"], features) for part in (learnt, judged))
    return Guesses(
        counting.number(known, learnt.targets["age"], new),
        counting.classes(known, learnt.targets["income"], new, freedom=0.01),
        counting.classes(known, learnt.targets["gender"], new, freedom=0.1),
    )


def notebook_weighted(data: PostsData, recipe: Recipe) -> keras.Model:
    """Train another such network on the same people for as many epochs, with NOTEBOOK_LOSS_WEIGHTS."""
    model = build_model(data.config)
    steps = data.epoch(0).rows // recipe.batch_rows
    compile_model(model, recipe, steps * recipe.epochs, NOTEBOOK_LOSS_WEIGHTS)
    for epoch in range(recipe.epochs):
        rows = data.epoch(epoch)
        model.fit(rows.inputs["posts"], rows.targets, batch_size=recipe.batch_rows, verbose=0)
    return model


def _mean_error(guessed: Array, truth: Array) -> float:
    return float(np.mean(np.abs(guessed - truth)))


def golden(model: keras.Model, data: PostsData) -> dict[str, Arrays]:
    """A short text that is judged rightly and surely, then the first held-out people, then odd texts."""
    demo = demonstration(model, data)
    chosen = np.array([demo, *(row % data.test.rows for row in range(8))])
    odd = ("", "WOMAN—father!  the\tyacht, the Yacht", "Zoë's naïve   café ２０, İstanbul \u2026 東京")
    numbers = data.test.inputs["posts"][chosen]
    longest = int(np.count_nonzero(numbers, axis=1).max())
    return {
        "serving_default": {"posts": numbers[:, :longest]},
        "from_text": {"posts": np.array([*(data.users.texts[row] for row in chosen), *odd], object)},
    }


def demonstration(model: keras.Model, data: PostsData) -> int:
    """The row to show: of the shortest fifth of the texts the one whose three answers are right, or nearly, and surest."""
    age, income, gender = model.predict(data.test.inputs["posts"], batch_size=256, verbose=0)
    rows = np.arange(data.test.rows)
    targets = data.test.targets
    right_gender = np.where(targets["gender"] == 1, gender[:, 0], 1 - gender[:, 0])
    sure = income[rows, targets["income"]] * right_gender * np.exp(-np.abs(age[:, 0] - targets["age"]) / 5)
    words = np.count_nonzero(data.test.inputs["posts"], axis=1)
    sure = np.where((words <= np.quantile(words, 0.2)) & (income.argmax(axis=1) == targets["income"]), sure, 0)
    return int(sure.argmax())


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """`serving_default`: numbers in, numbers out. `from_text`: strings in, what a person can read out."""
    vocabulary = Vocabulary(config.words)
    encode, table = vocabulary.graph_encoder()
    incomes, genders = np.array(INCOMES, object), np.array(GENDERS, object)

    def numeric(posts: tf.Tensor) -> dict[str, tf.Tensor]:
        posts = tf.where(
            (posts >= 0) & (posts < vocabulary.size), posts, UNKNOWN
        )  # one wrong number would fail its batch
        posts = tf.pad(
            posts, [[0, 0], [0, TAIL if config.architecture == "notebook" else 1]]
        )  # no text has no greatest
        return dict(zip(OUTPUTS, model(posts, training=False), strict=True))

    def readable(posts: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = numeric(encode(posts))
        male = outputs["gender"][:, 0]
        return {
            "age": outputs["age"][:, 0],
            "income": tf.gather(tf.constant(incomes), tf.argmax(outputs["income"], axis=1)),
            "income_probability": tf.reduce_max(outputs["income"], axis=1),
            "gender": tf.gather(tf.constant(genders), tf.cast(male > 0.5, tf.int32)),
            "gender_probability": tf.maximum(male, 1 - male),
        }

    def reference_numeric(inputs: Arrays) -> Arrays:
        words = inputs["posts"].shape[1]
        padded = np.pad(inputs["posts"], [(0, 0), (0, enough(config, words) - words)])
        return dict(zip(OUTPUTS, model.predict(padded, verbose=0), strict=True))

    def reference_readable(inputs: Arrays) -> Arrays:
        outputs = reference_numeric({"posts": vocabulary.encode(inputs["posts"])})
        male = outputs["gender"][:, 0]
        return {
            "age": outputs["age"][:, 0],
            "income": incomes[outputs["income"].argmax(axis=1)],
            "income_probability": outputs["income"].max(axis=1),
            "gender": genders[(male > 0.5).astype(int)],
            "gender_probability": np.maximum(male, 1 - male),
        }

    numbers = tf.TensorSpec([None, None], tf.int32, name="posts")
    strings = tf.TensorSpec([None], tf.string, name="posts")
    return {
        "serving_default": Endpoint([numbers], numeric, reference_numeric),
        "from_text": Endpoint([strings], readable, reference_readable, [table]),
    }
