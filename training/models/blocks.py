"""Building blocks of image networks: functions from a tensor to a tensor.

    inception           (batch, h, w, c) -> (batch, h/2, w/2, 4 x filters)   four branches, side by side
    identity_residual   (batch, h, w, filters) -> the same shape             y + x
    projected_residual  (batch, h, w, c) -> (batch, h/2, w/2, filters)       y + a strided, linear 1x1 of x

They take any 4-D tensor whose channels are known, pictures of free size too; halves are rounded up. With 128 filters,
the default, these are the notebook's fragments (7.1.4), layer by layer. Where those would not run: its inception
strides without padding='same', so that the branches of an 8 x 8 picture are 4, 3, 1 and 2 wide and cannot be
concatenated (of free size they are built all the same, and fail when run); and its second residual pools without
'same' beside a convolution with it, which differ for odd sizes (9 -> 4 and 5). Everything here pads 'same', so
branches agree for every size.
"""

import keras
from keras import layers

FILTERS = 128
"""Channels of each layer in the notebook's blocks."""


def inception(x: keras.KerasTensor, filters: int = FILTERS) -> keras.KerasTensor:
    """Look at the picture in four ways at once, each at half its size: 1x1, 3x3, mean and 3x3, two 3x3."""
    _channels(x, "inception")
    branch_a = _convolution(x, filters, 1, strides=2)

    branch_b = _convolution(x, filters, 1)
    branch_b = _convolution(branch_b, filters, 3, strides=2)

    branch_c = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    branch_c = _convolution(branch_c, filters, 3)

    branch_d = _convolution(x, filters, 1)
    branch_d = _convolution(branch_d, filters, 3)
    branch_d = _convolution(branch_d, filters, 3, strides=2)
    return layers.concatenate([branch_a, branch_b, branch_c, branch_d], axis=-1)


def identity_residual(x: keras.KerasTensor, filters: int = FILTERS) -> keras.KerasTensor:
    """Three convolutions, and x itself added to what they make of it. x has `filters` channels."""
    channels = _channels(x, "identity_residual")
    if channels != filters:  # one channel would be added to each of the others without a word
        raise ValueError(
            f"identity_residual adds x to {filters} channels, so x needs as many; it has {channels}. "
            "Use projected_residual, or convolve x to that number before"
        )
    y = _convolution(x, filters, 3)
    y = _convolution(y, filters, 3)
    y = _convolution(y, filters, 3)
    return layers.add([y, x])


def projected_residual(x: keras.KerasTensor, filters: int = FILTERS) -> keras.KerasTensor:
    """Two convolutions and a pool that halves the size, and x added in that shape: by a linear 1x1 of stride 2."""
    _channels(x, "projected_residual")
    y = _convolution(x, filters, 3)
    y = _convolution(y, filters, 3)
    y = layers.MaxPooling2D(2, strides=2, padding="same")(y)
    residual = layers.Conv2D(filters, 1, strides=2, padding="same")(x)
    return layers.add([y, residual])


def _convolution(x: keras.KerasTensor, filters: int, size: int, strides: int = 1) -> keras.KerasTensor:
    return layers.Conv2D(filters, size, strides=strides, padding="same", activation="relu")(x)


def _channels(x: keras.KerasTensor, block: str) -> int:
    """The number of channels; an error where x cannot be taken."""
    if len(x.shape) != 4 or x.shape[-1] is None:
        raise ValueError(
            f"{block} takes a tensor of shape (batch, height, width, channels) with channels known, not {x.shape}"
        )
    return int(x.shape[-1])
