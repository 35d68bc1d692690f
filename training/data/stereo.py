"""Stereo pairs: what two cameras side by side see of one lit object before a dim wall far away, and how far it is.

    disparity drawn ─▶ in the left camera's picture the object is half of it to the right of its middle, in the right
                       one's half of it to the left; noise and brightness differ between the cameras

    left_camera, right_camera (rows, side, side, 3) uint8; depth (rows, 1) float32, metres

**Geometry.** Two equal pinhole cameras look straight ahead, BASELINE_M apart; their focal length is FOCAL picture
widths (a picture spans 53 degrees). A point `depth` metres away is seen FOCAL x BASELINE_M / depth picture widths
further to the left by the right camera: its disparity. So 0.32 m are 20 of 64 pixels, and 3.2 m are 2; the wall is
infinitely far, disparity 0. Disparities are drawn evenly between these; size, shape, colour, texture and place of the
object do not depend on them, so that one eye alone cannot tell. Edges are smoothed over one pixel: a picture drawn
with 64 pixels is nearly what a larger one becomes when it is scaled down.
"""

from typing import TypeVar

import numpy as np

from signet.training.model import Array, Examples

BASELINE_M = 0.1
FOCAL = 1.0
"""Focal length in picture widths."""
NEAR_M, FAR_M = 0.32, 3.2
NOISE = 4.0
"""Standard deviation of a pixel's value, of 255."""
GAIN = 0.05
"""How much brighter or darker than right a camera may be: a share."""
CHUNK_ROWS = 250
"""Pairs drawn at a time: what is computed for each pixel stays within some megabytes."""

ArrayOrFloat = TypeVar("ArrayOrFloat", Array, float)


def disparity(depth_m: ArrayOrFloat) -> ArrayOrFloat:
    """Metres -> picture widths. Its own inverse, as both are inversely proportional."""
    return FOCAL * BASELINE_M / depth_m


def generate(rows: int, side: int, rng: np.random.Generator) -> Examples:
    """Draw `rows` pairs of pictures of `side` x `side` pixels."""
    shift = rng.uniform(disparity(FAR_M), disparity(NEAR_M), size=rows)
    left, right = (np.empty((rows, side, side, 3), np.uint8) for _ in range(2))
    for start in range(0, rows, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        left[part], right[part] = _draw(shift[part], side, rng)
    depth = disparity(shift).astype(np.float32)[:, None]
    return Examples({"left_camera": left, "right_camera": right}, {"depth": depth})


def _draw(shift: Array, side: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """One picture of each camera for each shift. Lengths are in picture widths, 0 in the middle."""
    rows = len(shift)
    half = rng.uniform(0.08, 0.19, size=(rows, 2))
    middle = rng.uniform(-0.28, 0.28, size=(rows, 2))
    round_ = rng.random(rows) < 0.5
    colour = rng.uniform(120, 235, size=(rows, 3))
    wall = rng.uniform(20, 90, size=(rows, 3))
    object_waves = _waves(rows, 3.0, 9.0, rng)
    wall_waves = _waves(rows, 0.5, 3.0, rng)

    axis = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    down = np.broadcast_to(axis[:, None], (side, side))[None]
    across = np.broadcast_to(axis[None, :], (side, side))[None]
    background = _over(wall) * (1 + 0.3 * _pattern(down, across, wall_waves))[..., None]
    pictures = []
    for eye in (0.5, -0.5):
        y = down - _over(middle[:, 0])
        x = across - _over(middle[:, 1] + eye * shift)
        ratio = np.maximum(np.abs(y / _over(half[:, 0])), np.abs(x / _over(half[:, 1])))
        radius = np.sqrt((y / _over(half[:, 0])) ** 2 + (x / _over(half[:, 1])) ** 2)
        ratio = np.where(_over(round_) > 0, radius, ratio)
        outside = (ratio - 1) * _over(half.min(axis=1)) * side  # pixels from the edge, outwards
        cover = np.clip(0.5 - outside, 0, 1)[..., None]
        foreground = _over(colour) * (1 + 0.25 * _pattern(y, x, object_waves))[..., None]
        gain = _over(rng.uniform(1 - GAIN, 1 + GAIN, size=(rows, 1)))
        picture = (background + cover * (foreground - background)) * gain
        picture += NOISE * rng.standard_normal(picture.shape, np.float32)
        pictures.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    return pictures[0], pictures[1]


def _over(values: Array) -> Array:
    """(rows, …) -> (rows, 1, 1, …) float32: over all the pixels."""
    return values.astype(np.float32)[:, None, None]


def _waves(rows: int, fewest: float, most: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draw the pattern of each row: waves to a picture's height, to its width, and the phase."""
    angle, number = rng.uniform(0, 2 * np.pi, size=rows), rng.uniform(fewest, most, size=rows)
    return number * np.sin(angle), number * np.cos(angle), rng.uniform(0, 2 * np.pi, size=rows)


def _pattern(down: Array, across: Array, waves: tuple[Array, Array, Array]) -> Array:
    """Brightness of the pattern at each pixel, between -1 and 1: (rows, side, side)."""
    high, wide, phase = (_over(wave) for wave in waves)
    result: Array = np.sin(2 * np.pi * (high * down + wide * across) + phase)
    return result


def block_matching(pairs: Examples) -> Array:
    """Disparities by comparing the pictures: the shift at which what is bright in the left is found in the right.

    Between the best whole number of pixels and its neighbours the least of a parabola through the three is taken.
    """
    left, right = (pairs.inputs[eye].astype(np.float32) for eye in ("left_camera", "right_camera"))
    side = left.shape[2]
    brightness = left.mean(axis=-1)
    bright = brightness > (np.median(brightness, axis=(1, 2)) + brightness.max(axis=(1, 2)))[:, None, None] / 2
    shifts = range(int(disparity(NEAR_M) * side) + 3)
    costs = np.stack([_cost(left, right, bright, shift) for shift in shifts], axis=1)
    best = np.clip(costs.argmin(axis=1), 1, len(shifts) - 2)
    before, at, after = (costs[np.arange(len(costs)), best + step] for step in (-1, 0, 1))
    bend = np.maximum(before - 2 * at + after, 1e-6)
    result: Array = (best + np.clip((before - after) / (2 * bend), -0.5, 0.5)) / side
    return result


def _cost(left: Array, right: Array, bright: Array, shift: int) -> Array:
    """Mean difference between the bright pixels of each left picture and the right one `shift` pixels to the left."""
    side = left.shape[2]
    seen = bright[:, :, shift:]
    difference = np.abs(left[:, :, shift:] - right[:, :, : side - shift]).mean(axis=-1)
    result: Array = (difference * seen).sum(axis=(1, 2)) / np.maximum(seen.sum(axis=(1, 2)), 1)
    return result
