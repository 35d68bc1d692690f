"""Scenes: one handwritten digit, turned, scaled and shifted, among scraps of other digits.

    digits.images() ─ one digit ─▶ turned by up to TURN, 8 pixels become 14 to 20, somewhere in 24 x 24 ┐
                    └ SCRAPS windows of other digits, turned and scaled alike, anywhere ────────────────┴▶ the brighter

    image (rows, 24, 24, 1) float32, 0 to 16; digit (rows,) int32, 0 to 9

Scenes to learn from are made of the digits to learn from alone, held-out scenes of the held-out digits. No row
depends on another: the same generator state gives the same scenes.
"""

from collections.abc import Iterator

import numpy as np

from signet.training.model import Array, Examples

SIDE = 24
"""Pixels along an edge of a scene."""
TURN = np.deg2rad(25)
SCALES = (1.7, 2.5)
"""How much larger than its 8 pixels the digit is shown."""
SCRAPS = 2
SCRAP = 3.0
"""Edge of a scrap, in pixels of the digit that it is cut from."""
CHUNK_ROWS = 1_000
"""Rows painted at a time: the arrays of coordinates stay within some megabytes."""


def generate(digits: Examples, rows: int, rng: np.random.Generator) -> Examples:
    """`rows` scenes of `digits`: image (n, 8, 8, 1) and digit (n,)."""
    chosen = rng.integers(digits.rows, size=rows)
    image = np.concatenate(list(_chunks(digits.inputs["image"][..., 0], chosen, rng)))
    return Examples({"image": image[..., None]}, {"digit": digits.targets["digit"][chosen]})


def _chunks(pictures: Array, chosen: Array, rng: np.random.Generator) -> Iterator[Array]:
    for start in range(0, len(chosen), CHUNK_ROWS):
        yield _scenes(pictures, chosen[start : start + CHUNK_ROWS], rng)


def _scenes(pictures: Array, chosen: Array, rng: np.random.Generator) -> Array:
    rows, edge = len(chosen), pictures.shape[1]
    scale = rng.uniform(*SCALES, size=rows)
    free = SIDE - edge * scale  # so that the digit is within the scene, but for the corners of a turned one
    corner = rng.uniform(size=(rows, 2)) * free[:, None]
    scene = show(pictures[chosen], _turn(rows, rng), scale, corner + edge * scale[:, None] / 2, edge / 2, edge)
    for _ in range(SCRAPS):
        others = pictures[rng.integers(len(pictures), size=rows)]
        middle = rng.uniform(SCRAP / 2, edge - SCRAP / 2, size=(rows, 2))
        place = rng.uniform(0, SIDE, size=(rows, 2))
        scrap = show(others, _turn(rows, rng), rng.uniform(*SCALES, size=rows), place, middle, SCRAP)
        scene = np.maximum(scene, scrap)
    return scene


def _turn(rows: int, rng: np.random.Generator) -> Array:
    return rng.uniform(-TURN, TURN, size=rows)


def show(pictures: Array, turn: Array, scale: Array, place: Array, middle: Array | float, window: float) -> Array:
    """Each picture in a scene of its own, (rows, 24, 24) float32, black elsewhere; values between pixels are mixed.

    turn (rows,): radians. scale (rows,): scene pixels to one picture pixel. place (rows, 2): where in the scene, in
    pixels from its upper left corner, the point `middle` of the picture comes to lie. window: only what is less than
    half of that away from `middle`, along the picture's edges, is shown; in picture pixels.
    """
    rows, edge = len(pictures), pictures.shape[1]
    centres = np.arange(SIDE, dtype=np.float32) + 0.5
    down = centres[None, :, None] - place[:, 0, None, None].astype(np.float32)
    right = centres[None, None, :] - place[:, 1, None, None].astype(np.float32)
    cosine, sine = ((function(turn) / scale).astype(np.float32)[:, None, None] for function in (np.cos, np.sin))
    away = np.stack([cosine * down - sine * right, sine * down + cosine * right], axis=-1)  # picture pixels from middle
    inside = (np.abs(away) < window / 2).all(axis=-1)
    middle = np.broadcast_to(np.asarray(middle, np.float32), (rows, 2))
    point = away + middle[:, None, None, :] + 0.5  # 0.5: from corner to pixel centre, less one, plus one of frame below
    framed = np.pad(pictures, [(0, 0), (1, 2), (1, 2)])
    point = np.clip(point, 0, edge + 1)
    low = np.floor(point).astype(np.intp)
    part = point - low
    y, x = low[..., 0], low[..., 1]
    py, px = part[..., 0], part[..., 1]
    row = np.arange(rows)[:, None, None]
    upper = framed[row, y, x] * (1 - px) + framed[row, y, x + 1] * px
    lower = framed[row, y + 1, x] * (1 - px) + framed[row, y + 1, x + 1] * px
    return np.where(inside, upper * (1 - py) + lower * py, 0).astype(np.float32)
