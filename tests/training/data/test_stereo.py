import numpy as np
import pytest

from signet.training.data import stereo


@pytest.fixture(scope="module")
def pairs():
    return stereo.generate(100, 64, np.random.default_rng(0))


def test_pairs_are_pictures_and_metres(pairs):
    for eye in ("left_camera", "right_camera"):
        assert pairs.inputs[eye].shape == (100, 64, 64, 3)
        assert pairs.inputs[eye].dtype == np.uint8
    depth = pairs.targets["depth"]
    assert (depth.shape, depth.dtype) == ((100, 1), np.float32)
    assert stereo.NEAR_M <= depth.min() < 0.4
    assert 1 < depth.max() <= stereo.FAR_M


def test_disparity_is_what_the_geometry_says():
    assert stereo.disparity(0.32) * 64 == pytest.approx(20)
    assert stereo.disparity(3.2) * 64 == pytest.approx(2)
    assert stereo.disparity(stereo.disparity(0.7)) == pytest.approx(0.7)


@pytest.mark.parametrize("side", [64, 125])
def test_the_pictures_are_shifted_by_the_disparity_at_any_size(side):
    drawn = stereo.generate(60, side, np.random.default_rng(1))
    error = stereo.block_matching(drawn) - stereo.disparity(drawn.targets["depth"][:, 0])
    assert np.mean(np.abs(error)) * 64 < 0.2


def test_pairs_depend_on_the_generator_alone(pairs):
    again = stereo.generate(100, 64, np.random.default_rng(0))
    for eye in pairs.inputs:
        np.testing.assert_array_equal(pairs.inputs[eye], again.inputs[eye])
    other = stereo.generate(100, 64, np.random.default_rng(1))
    assert not np.array_equal(other.inputs["left_camera"], again.inputs["left_camera"])


def test_one_eye_alone_does_not_tell(pairs):
    """The place of the object in one picture says next to nothing of its distance: their correlation is weak."""
    many = stereo.generate(1_000, 32, np.random.default_rng(2))
    shift = stereo.disparity(many.targets["depth"][:, 0])
    brightness = many.inputs["left_camera"].mean(axis=(1, 3))
    place = (brightness > brightness.mean(axis=1, keepdims=True) + 20) @ np.arange(32)
    assert abs(np.corrcoef(place, shift)[0, 1]) < 0.3
