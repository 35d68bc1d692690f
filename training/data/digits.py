"""Handwritten digits: scikit-learn's bundled 1,797 pictures of 8 x 8 pixels, in one fixed split.

    pixels (1797, 64) float32, whole numbers 0 to 16; digit (1797,) int32, 0 to 9; 1,347 rows to learn from

Source: `sklearn.datasets.load_digits` (the test set of UCI's "Optical Recognition of Handwritten Digits").
"""

import numpy as np

from signet.training.model import Examples

SIDE = 8
"""Pixels along an edge of a digit's picture."""


def load() -> tuple[Examples, Examples]:
    """The rows to learn from and the held-out rows; every digit has its share in both. The split never changes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, digit = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        pixels.astype(np.float32), digit.astype(np.int32), test_size=450, random_state=0, stratify=digit
    )
    return Examples({"pixels": x_train}, {"digit": y_train}), Examples({"pixels": x_test}, {"digit": y_test})


def images() -> tuple[Examples, Examples]:
    """The split of `load` as pictures: image (rows, 8, 8, 1) instead of pixels."""
    train, test = (
        Examples({"image": rows.inputs["pixels"].reshape(-1, SIDE, SIDE, 1)}, rows.targets) for rows in load()
    )
    return train, test


def moved(digits: Examples, rng: np.random.Generator) -> Examples:
    """Each image moved by up to a pixel down and across, black coming in: what a digit is does not depend on its place."""
    image = np.pad(digits.inputs["image"], [(0, 0), (1, 1), (1, 1), (0, 0)])
    corner = rng.integers(3, size=(digits.rows, 2, 1)) + np.arange(SIDE)
    row = np.arange(digits.rows)[:, None, None]
    return Examples({"image": image[row, corner[:, 0, :, None], corner[:, 1, None, :]]}, digits.targets)
