from __future__ import annotations

import numpy as np
import pytest

from tests.training import late
from tests.training.late import keras, layers

blocks = late.model("blocks")

BLOCKS = {"inception": 4, "identity_residual": 1, "projected_residual": 1}
"""Name -> how many times the channels it gives."""


def convolutions(model: keras.Model) -> list[tuple[int, int, int, str]]:
    """Filters, size, stride and activation of each, sorted."""
    return sorted(
        (layer.filters, layer.kernel_size[0], layer.strides[0], layer.activation.__name__)
        for layer in model.layers
        if isinstance(layer, layers.Conv2D)
    )


@pytest.mark.parametrize("side", [1, 8, 9, 24, 25])
def test_branches_agree_for_pictures_of_any_size(side):
    x = keras.Input((side, side, 6))
    half = (side + 1) // 2
    assert blocks.inception(x, 4).shape == (None, half, half, 16)
    assert blocks.projected_residual(x, 4).shape == (None, half, half, 4)
    assert blocks.identity_residual(x, 6).shape == x.shape


@pytest.mark.parametrize("name", BLOCKS)
def test_pictures_of_free_size_run(name):
    x = keras.Input((None, None, 2))
    model = keras.Model(x, getattr(blocks, name)(x, 2))
    for height, width in ((7, 10), (8, 8)):
        answer = model.predict(np.ones((3, height, width, 2), np.float32), verbose=0)
        size = (height, width) if name == "identity_residual" else ((height + 1) // 2, (width + 1) // 2)
        assert answer.shape == (3, *size, 2 * BLOCKS[name])


def test_the_blocks_are_the_notebooks_layers():
    x = keras.Input((8, 8, 128))
    strided = [(128, 1, 2, "relu"), (128, 3, 2, "relu"), (128, 3, 2, "relu")]
    plain = [(128, 1, 1, "relu"), (128, 1, 1, "relu"), (128, 3, 1, "relu"), (128, 3, 1, "relu")]
    assert convolutions(keras.Model(x, blocks.inception(x))) == sorted(plain + strided)
    assert convolutions(keras.Model(x, blocks.identity_residual(x))) == [(128, 3, 1, "relu")] * 3
    projected = [(128, 1, 2, "linear"), (128, 3, 1, "relu"), (128, 3, 1, "relu")]
    assert convolutions(keras.Model(x, blocks.projected_residual(x))) == projected


def test_the_notebooks_inception_as_written_does_not_fit_together():
    x = keras.Input((8, 8, 1))
    branch_a = layers.Conv2D(128, 1, activation="relu", strides=2)(x)
    branch_b = layers.Conv2D(128, 3, activation="relu", strides=2)(layers.Conv2D(128, 1, activation="relu")(x))
    with pytest.raises(ValueError, match="Concatenate"):
        layers.concatenate([branch_a, branch_b], axis=-1)


def test_residuals_add_what_they_were_given():
    x = keras.Input((4, 4, 3))
    model = keras.Model(x, blocks.identity_residual(x, 3))
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    picture = np.arange(48, dtype=np.float32).reshape(1, 4, 4, 3)
    np.testing.assert_array_equal(model.predict(picture, verbose=0), picture)


@pytest.mark.parametrize("channels", [1, 3, 256])
def test_an_identity_that_cannot_be_added_is_refused(channels):
    with pytest.raises(ValueError, match=f"adds x to 128 channels, so x needs as many; it has {channels}"):
        blocks.identity_residual(keras.Input((8, 8, channels)))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("shape", [(8, 128), (8, 8, None)])
def test_tensors_that_are_no_pictures_are_refused(name, shape):
    with pytest.raises(ValueError, match=rf"{name} takes a tensor of shape \(batch, height, width, channels\)"):
        getattr(blocks, name)(keras.Input(shape))
