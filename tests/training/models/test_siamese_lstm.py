"""The Siamese network: one reader for both sides, and answers that do not depend on padding or on which side is which."""

import numpy as np
import pytest

from signet.training import options
from signet.training.data import people
from signet.training.model import BadData, Recipe
from tests.training import exported, late
from tests.training.late import keras, tf

siamese_lstm = late.model("siamese_lstm")

SMALL = {"state": 8, "notebook_state": 8, "dense": 8}


def pairs(rows=64):
    return people.generate(rows, np.random.default_rng(0))


def network(architecture="default"):
    keras.utils.set_random_seed(0)
    config = siamese_lstm.Config(architecture, **SMALL)
    return siamese_lstm.build_model(config), config


def floats(texts):
    return siamese_lstm.one_hot(siamese_lstm.encode(texts)).astype(np.float32)


@pytest.mark.parametrize("architecture", options.ARCHITECTURES)
def test_both_sides_are_read_by_the_same_weights(architecture):
    model, _ = network(architecture)
    assert exported.shapes(model.input) == {"left": (None, None, 128), "right": (None, None, 128)}
    assert exported.shapes(model.output) == {"same": (None, 1)}
    (reader,) = (layer for layer in model.layers if layer.name == "reader")
    assert sum(isinstance(layer, keras.layers.LSTM | keras.layers.Bidirectional) for layer in reader.layers) == 1
    constant, text = tf.zeros((4, 1, 128)), tf.constant(floats(pairs(4).left))
    weights = reader.trainable_variables[0].value
    gradients = []
    for left, right in ((text, constant), (constant, text)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model({"left": left, "right": right})["same"])
        gradients.append(np.abs(tape.gradient(loss, weights)).max())
    assert min(gradients) > 0  # either side alone moves them


def test_the_notebooks_network_has_its_size():
    model = siamese_lstm.build_model(siamese_lstm.Config("notebook"))
    assert model.count_params() == 4 * 32 * (128 + 32 + 1) + 2 * 32 + 1


def test_sides_can_be_exchanged_and_padding_changes_nothing():
    model, config = network()
    endpoint = siamese_lstm.endpoints(model, config)["serving_default"]
    some = pairs(8)
    left, right = floats(some.left), floats(some.right)

    def same(*sides):
        return endpoint.graph(*map(tf.constant, sides))["same"].numpy()

    expected = same(left, right)
    np.testing.assert_allclose(same(right, left), expected, rtol=1e-6)
    np.testing.assert_allclose(same(np.pad(left, [(0, 0), (0, 9), (0, 0)]), right), expected, rtol=1e-5)
    np.testing.assert_allclose(same(left[:1], right[:1]), expected[:1], rtol=1e-5)


def test_the_notebooks_head_is_a_sum_and_cannot_compare():
    model, _ = network("notebook")
    a, b = floats(["Marina Oak, 1 Hill Street, Fordton"]), floats(["Jon Elm, 9 Brook Lane, Westport"])

    def logit(left, right):
        chance = model.predict({"left": left, "right": right}, verbose=0)["same"].item()
        return np.log(chance / (1 - chance))

    # Whatever the weights: two equal pairs and the two crossed ones get the same in sum.
    assert logit(a, a) + logit(b, b) == pytest.approx(logit(a, b) + logit(b, a), abs=1e-4)


@pytest.mark.parametrize("architecture", options.ARCHITECTURES)
def test_the_export_answers_as_the_model_does(architecture, tmp_path):
    model, config = network(architecture)
    test = pairs(40)
    data = siamese_lstm.PairData("", config, lambda _: siamese_lstm.examples(test), siamese_lstm.examples(test), test,
                                 {"all": test})  # fmt: skip
    golden = exported.write("siamese_lstm", siamese_lstm, model, data, tmp_path / "siamese_lstm")
    answers = exported.engine_answers(tmp_path / "siamese_lstm")
    assert answers.keys() == golden.keys() == {"serving_default", "from_text"}
    for signature, example in golden.items():
        np.testing.assert_allclose(answers[signature]["same"], example["outputs"]["same"], rtol=1e-4, atol=1e-5)
    assert np.shape(answers["serving_default"]["same"])[1:] == (1,)
    assert np.ndim(answers["from_text"]["same"]) == 1


# Another test of this process may have asked for deterministic operations, which XLA does not have.
@pytest.mark.filterwarnings("ignore:Model doesn't support `jit_compile=True`")
def test_one_epoch_lowers_the_loss_and_scores_stand_beside_gradient_boosting():
    model, config = network()
    test = pairs(200)
    rows = siamese_lstm.examples(test)
    siamese_lstm.compile_model(model, Recipe(epochs=1, batch_rows=20, learning_rate=5e-3), steps=10)
    before = model.evaluate(rows.inputs, rows.targets, batch_size=20, verbose=0, return_dict=True)["loss"]
    model.fit(rows.inputs, rows.targets, batch_size=20, verbose=0)
    assert model.evaluate(rows.inputs, rows.targets, batch_size=20, verbose=0, return_dict=True)["loss"] < before
    data = siamese_lstm.PairData("", config, lambda _: rows, rows, test, {"all": test})
    (score,) = siamese_lstm.evaluate(model, data)
    assert 0 <= score.value <= 1
    assert score.baselines["gradient boosting on measures of likeness"] > 0.9  # of what it learnt from


def test_characters_are_symbols_in_lower_case():
    assert siamese_lstm.encode(["Ab1", "é\0"]).tolist() == [[97, 98, 49], [127, 127, 0]]
    assert siamese_lstm.encode(["x" * 300]).shape == (1, siamese_lstm.LONGEST)
    assert siamese_lstm.encode([""]).tolist() == [[0]]
    assert siamese_lstm.one_hot(np.array([0, 97])).sum(axis=1).tolist() == [0, 1]


def test_generated_pairs_are_half_the_same_and_new_names_are_new():
    some, new = pairs(2_000), people.generate(500, np.random.default_rng(1), unseen=True)
    assert 0.45 < some.same.mean() < 0.55
    assert some.left[:5] == pairs(2_000).left[:5]
    towns = [{text.rsplit(", ", 1)[1] for text in made.left} for made in (some, new)]
    assert len(towns[0] & towns[1]) < 0.05 * len(towns[1])  # but for typos
    alike = people.letter_pairs(some)
    assert alike[some.same > 0.5].mean() > alike[some.same < 0.5].mean() + 0.1


def test_edit_distances():
    texts = [("", ""), ("abc", ""), ("", "ab"), ("kitten", "sitting"), ("same", "same"), ("ab", "ba")]
    assert people.edit_distances(texts).tolist() == [0, 3, 2, 3, 0, 2]


@pytest.mark.parametrize(("name", "content", "problem"), [
    ("p.csv", "left,right\na,b\n", "p.csv:1: expected the columns left, right, same; missing: same; found: 'left', 'right'"),
    ("p.csv", "left,right,same\na,b,1\na,b,maybe\n", "p.csv:3: same is 'maybe'; expected 0 or 1"),
    ("p.csv", "left,right,same\n,b,1\n", "p.csv:2: left is empty; expected a text that is not empty"),
    ("p.csv", "left,right,same\na,b,1,x\n", "p.csv:2: expected 3 cells, as the first line has, found 4"),
    ("p.csv", "left,right,same\n", "p.csv: expected pairs, found none"),
    ("p.jsonl", '{"left": "a", "right": "b", "same": 1}\n{"left": "a"\n', "p.jsonl:2: not JSON"),
    ("p.jsonl", '{"left": "a", "right": "b"}\n', "p.jsonl:1: expected the columns left, right, same; missing: same"),
    ("p.jsonl", "[1]\n", "p.jsonl:1: expected an object with left, right, same"),
])  # fmt: skip
def test_bad_files_are_a_sentence_with_file_and_line(name, content, problem, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadData) as raised:
        people.read(tmp_path / name)
    assert problem in str(raised.value)


def test_files_are_read_and_a_fifth_is_held_out(tmp_path):
    lines = [f'"{left}","{right}",{int(same)}' for left, right, same in
             zip(*(getattr(pairs(10), name) for name in people.COLUMNS), strict=True)]  # fmt: skip
    (tmp_path / "p.csv").write_text("\n".join(["left,right,same", *lines]))
    data = siamese_lstm.load(tmp_path / "p.csv", "quick", 0)
    assert (data.epoch(0).rows, data.test.rows) == (8, 2)
    assert list(data.held_out) == ["held-out pairs"]
