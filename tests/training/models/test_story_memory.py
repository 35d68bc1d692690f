"""How the memory network reads a story: which word is in which sentence, and what is forgotten."""

import numpy as np
import pytest

from tests.training import late
from tests.training.late import keras

story_memory = late.model("story_memory")

END = 2
ANSWERS = np.array([[3, 0], [4, 5], [6, 0]], np.int32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    text, question = (keras.Input((None,), dtype="int32", name=name) for name in ("text", "question"))
    memory = story_memory.StoryMemory(10, END, ANSWERS, dim=8, hops=2, memories=3)
    return keras.Model([text, question], memory([text, question]))


def scores(network, text, question=(3, 4)):
    return np.array(network([np.array([text], np.int32), np.array([question], np.int32)]))[0]


def test_words_belong_to_the_sentence_that_the_next_end_closes(network):
    (memory,) = (layer for layer in network.layers if isinstance(layer, story_memory.StoryMemory))
    text = np.array([[3, 4, 5, END, 6, END, 7, 8, END, 0, 0]], np.int32)
    belongs, lengths, places = (np.array(part)[0] for part in memory._sentences(text))
    assert belongs.argmax(axis=1)[[0, 1, 2, 4, 6, 7]].tolist() == [2, 2, 2, 1, 0, 0]  # 0 is the newest
    assert belongs.sum(axis=1).tolist() == [1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0]  # ends and padding are in none
    assert lengths.tolist() == [2, 1, 3]
    dimension = np.arange(1, 9) / 8
    for word, part in {0: 1 / 3, 1: 2 / 3, 2: 1, 4: 1, 6: 1 / 2, 7: 1}.items():
        np.testing.assert_allclose(places[word], (1 - part) - dimension * (1 - 2 * part), atol=1e-6)


def test_padding_and_a_missing_last_full_stop_change_nothing(network):
    expected = scores(network, [3, 4, END, 5, 6, END])
    np.testing.assert_allclose(scores(network, [3, 4, END, 5, 6, END, 0, 0, 0]), expected, atol=1e-6)
    np.testing.assert_allclose(scores(network, [3, 4, END, 5, 6]), expected, atol=1e-6)
    np.testing.assert_allclose(scores(network, [3, 4, END, 5, 6, END], (3, 4, 0)), expected, atol=1e-6)


def test_only_the_newest_sentences_are_remembered(network):
    three = [3, 4, END, 5, 6, END, 7, 8, 9, END]
    np.testing.assert_allclose(scores(network, [9, 9, 9, END, *three]), scores(network, three), atol=1e-6)
    assert not np.allclose(scores(network, three), scores(network, three[3:]), atol=1e-6)


def test_the_order_of_sentences_and_of_words_matters(network):
    story = scores(network, [3, 4, END, 5, 6, END])
    assert not np.allclose(story, scores(network, [5, 6, END, 3, 4, END]), atol=1e-6)
    assert not np.allclose(story, scores(network, [4, 3, END, 5, 6, END]), atol=1e-6)


def test_no_story_at_all_is_answered(network):
    assert np.isfinite(scores(network, [0])).all()
    assert np.isfinite(scores(network, [END, END], (0,))).all()
