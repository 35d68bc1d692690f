import numpy as np
import pytest

from signet.training.data import digits, scenes
from signet.training.model import Examples


@pytest.fixture(scope="module")
def held_out():
    return digits.images()[1]


def test_pictures_are_the_split_of_digits(held_out):
    assert held_out.inputs["image"].shape == (450, 8, 8, 1)
    np.testing.assert_array_equal(held_out.inputs["image"].reshape(450, 64), digits.load()[1].inputs["pixels"])


def test_moved_digits_are_moved_by_up_to_a_pixel():
    middle = Examples({"image": np.zeros((200, 8, 8, 1), np.float32)}, {"digit": np.zeros(200, np.int32)})
    middle.inputs["image"][:, 4, 4] = 16
    places = np.argwhere(digits.moved(middle, np.random.default_rng(0)).inputs["image"] == 16)
    assert len(places) == 200
    assert {tuple(place) for place in places[:, 1:3].tolist()} == {(y, x) for y in (3, 4, 5) for x in (3, 4, 5)}


def test_scenes_depend_on_the_generator_alone(held_out):
    one, same, other = (scenes.generate(held_out, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.inputs["image"], same.inputs["image"])
    np.testing.assert_array_equal(one.targets["digit"], same.targets["digit"])
    assert not np.array_equal(one.inputs["image"], other.inputs["image"])


def test_scenes_are_named_after_the_digit_in_them(held_out):
    made = scenes.generate(held_out, 1_100, np.random.default_rng(0))  # more than one chunk
    assert made.inputs["image"].shape == (1_100, 24, 24, 1)
    assert made.inputs["image"].dtype == np.float32
    assert 0 <= made.inputs["image"].min() < made.inputs["image"].max() <= 16
    assert set(made.targets["digit"].tolist()) == set(range(10))


def test_nothing_but_the_given_digits_is_shown():
    black = Examples({"image": np.zeros((3, 8, 8, 1), np.float32)}, {"digit": np.arange(3, dtype=np.int32)})
    assert not scenes.generate(black, 30, np.random.default_rng(0)).inputs["image"].any()


def show(picture, turn=0.0, scale=1.0, place=(12, 12), middle=4.0, window=8.0):
    scene = scenes.show(picture[None], np.array([turn]), np.array([scale]), np.array([place]), middle, window)
    return scene[0]


def test_a_picture_that_is_not_changed_is_shown_as_it_is(held_out):
    picture = held_out.inputs["image"][0, ..., 0]
    scene = show(picture)
    np.testing.assert_array_equal(scene[8:16, 8:16], picture)
    assert scene.sum() == picture.sum()


def test_a_quarter_turn_turns(held_out):
    picture = held_out.inputs["image"][0, ..., 0]
    turned = show(picture, turn=np.pi / 2)[8:16, 8:16]
    assert any(np.allclose(turned, np.rot90(picture, times), atol=1e-3) for times in (1, 3))


def test_a_window_shows_a_scrap():
    assert (show(np.full((8, 8), 16.0), place=(5.5, 5.5), window=3.0) > 0).sum() == 9


def test_twice_as_large_is_four_times_the_area():
    assert (show(np.full((8, 8), 16.0), scale=2.0) > 7).sum() == 16 * 16
