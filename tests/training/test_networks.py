"""The notebook's claims about its networks: which forms are the same, which calls to fit are the same."""

from dataclasses import replace

import numpy as np
import pytest

from signet.training import options
from signet.training.data import posts, stories
from signet.training.model import Recipe
from signet.training.models import counting
from signet.training.models.registry import models
from tests.training import exported, late
from tests.training.late import keras, layers, tf

digits, question_answering, social_posts = map(late.model, ("digits", "question_answering", "social_posts"))


def small(name, architecture="default"):
    """A few rows of a model's data, and the model, always with the same first weights."""
    module = models()[name]
    data = module.load(None, "quick", 0, architecture)
    rows = data.epoch(0)[:128]
    data = replace(data, epoch=lambda _: rows, test=data.test[:40])
    keras.utils.set_random_seed(0)
    return module, data, module.build_model(data.config)


NETWORKS = (
    ("digits", "default"),
    ("question_answering", "default"),
    ("question_answering", "notebook"),
    ("social_posts", "default"),
    ("social_posts", "notebook"),
)
SHAPES = {"digit": (10,), "answer": None, "age": (1,), "income": (10,), "gender": (1,)}


@pytest.mark.parametrize(("name", "architecture"), NETWORKS)
def test_one_epoch_lowers_the_loss(name, architecture):
    module, data, model = small(name, architecture)
    rows = data.epoch(0)
    module.compile_model(model, Recipe(epochs=1, batch_rows=16, learning_rate=1e-3), steps=100)
    inputs = rows.inputs if len(rows.inputs) > 1 or name == "digits" else next(iter(rows.inputs.values()))
    before = model.evaluate(inputs, rows.targets, verbose=0, return_dict=True)["loss"]
    model.fit(inputs, rows.targets, batch_size=16, verbose=0)
    assert model.evaluate(inputs, rows.targets, verbose=0, return_dict=True)["loss"] < before


@pytest.mark.parametrize(("name", "architecture"), NETWORKS)
def test_the_export_answers_as_the_model_does(name, architecture, tmp_path):
    module, data, model = small(name, architecture)
    golden = exported.write(name, module, model, data, tmp_path / name)
    answers = exported.engine_answers(tmp_path / name)
    assert answers.keys() == golden.keys()
    for signature, example in golden.items():
        assert len(next(iter(example["outputs"].values()))) >= 8
        for output, expected in example["outputs"].items():
            got = np.array(answers[signature][output])
            if got.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, rtol=example["rtol"], atol=example["atol"])
                if signature == "serving_default" and SHAPES[output]:
                    assert got.shape[1:] == SHAPES[output]
            if signature == "from_text":
                assert got.ndim == 1


def test_the_functional_form_is_the_sequential_one():
    _, data, functional = small("digits")
    sequential = keras.Sequential(
        [
            keras.Input((64,), name="pixels"),
            layers.Rescaling(1 / 16),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    assert functional.count_params() == sequential.count_params() == 3466
    sequential.set_weights(functional.get_weights())
    pixels = data.test.inputs["pixels"]
    np.testing.assert_array_equal(
        functional.predict({"pixels": pixels}, verbose=0)["digit"], sequential.predict(pixels, verbose=0)
    )


def test_lists_and_dicts_of_inputs_fit_the_same_weights():
    def fitted(as_dict):
        _, data, model = small("question_answering")
        question_answering.compile_model(model, Recipe(epochs=1, batch_rows=16, learning_rate=1e-3), steps=8)
        rows = data.epoch(0)
        inputs = rows.inputs if as_dict else [rows.inputs[tensor.name] for tensor in model.inputs]
        targets = rows.targets if as_dict else rows.targets["answer"]
        model.fit(inputs, targets, batch_size=16, shuffle=False, verbose=0)
        return model.get_weights()

    for one, other in zip(fitted(True), fitted(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lists_and_dicts_of_losses_and_weights_fit_the_same_weights():
    tf.config.experimental.enable_op_determinism()  # else threads add up in any order, and the last digits differ

    def fitted(as_dict):
        _, data, model = small("social_posts")
        rows = data.epoch(0)
        losses, weights, targets = social_posts.LOSSES, social_posts.NOTEBOOK_LOSS_WEIGHTS, rows.targets
        assert weights == {"age": 0.25, "income": 1.0, "gender": 10.0}
        if not as_dict:
            losses, weights, targets = ([by_name[name] for name in social_posts.OUTPUTS]
                                        for by_name in (losses, weights, targets))  # fmt: skip
        model.compile("rmsprop", loss=losses, loss_weights=weights)
        model.fit(rows.inputs["posts"], targets, batch_size=32, epochs=1, shuffle=False, verbose=0)
        return model.get_weights()

    for one, other in zip(fitted(True), fitted(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_notebooks_posts_network_has_its_sizes():
    model = social_posts.build_model(social_posts.Config([f"w{i}" for i in range(49_998)], 40.0, "notebook"))
    assert model.count_params() == 14_146_316


def test_the_notebooks_question_answering_network_has_its_sizes():
    words = [f"w{i}" for i in range(9_998)]
    model = question_answering.build_model(question_answering.Config(words, words, words[:500], "notebook"))
    lstm_32, lstm_16 = 4 * 32 * (64 + 32 + 1), 4 * 16 * (32 + 16 + 1)
    assert model.count_params() == 10_000 * 64 + lstm_32 + 10_000 * 32 + lstm_16 + (32 + 16 + 1) * 500


@pytest.mark.parametrize("architecture", options.ARCHITECTURES)
@pytest.mark.parametrize("name", ["question_answering", "social_posts"])
def test_padding_changes_no_answer(name, architecture):
    module, data, model = small(name, architecture)
    endpoint = module.endpoints(model, data.config)["serving_default"]
    rows = {name: array[:4] for name, array in data.test.inputs.items()}
    wider = {name: np.pad(array, [(0, 0), (0, 7)]) for name, array in rows.items()}
    narrow, wide = (endpoint.graph(*(inputs[spec.name] for spec in endpoint.inputs)) for inputs in (rows, wider))
    for output, expected in endpoint.reference(rows).items():
        np.testing.assert_allclose(narrow[output], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(wide[output], expected, rtol=1e-4, atol=1e-5)


def test_words_and_ordered_pairs_are_counted():
    numbers = np.array([[5, 3, 4, 0, 0], [3, 5, 0, 0, 0], [4, 1, 3, 1, 5]], np.int32)
    features = counting.Features(6, np.array([3 * 6 + 4, 3 * 6 + 5, 5 * 6 + 3]))
    assert counting.learn(numbers, 6).pairs.tolist() == [3 * 6 + 4, 3 * 6 + 5, 4 * 6 + 3, 5 * 6 + 3, 5 * 6 + 4]
    counted = counting.counts(numbers, features).toarray()
    assert counted[:, 3:6].tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]  # the words 3, 4 and 5
    assert counted[:, 6:].tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]  # 3 before 4, 3 before 5, 5 before 3


def test_the_ceiling_of_the_posts_is_above_what_words_alone_tell():
    users, signals = posts.generate(500, np.random.default_rng(1))
    best = posts.optimum(signals)
    assert np.mean(best.gender == users.gender) > 0.8
    assert np.mean(best.income == users.income) > 0.4
    assert np.abs(best.age - users.age).mean() < 6
    again, _ = posts.generate(500, np.random.default_rng(1))
    assert again.texts == users.texts


def test_generated_stories_hold_their_answers():
    questions = stories.generate(50, np.random.default_rng(0))
    assert questions == stories.generate(50, np.random.default_rng(0))
    for question in questions:
        fact = question.text[question.supporting[0]]
        assert question.answer in fact
        assert question.question.split()[-1].rstrip("?") in fact
