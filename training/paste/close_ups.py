"""Products that fill much of the picture, before a plain ground or an advertisement: one thing has one box.

What is printed on a product, and what an advertisement writes beside it, has none.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from ..progress import Progress
from ..render.colors import from_hsv
from ..render.poster import write_poster
from ..render.sprite import Light
from ..render.surfaces import Surfaces, backdrop
from .compose import SHARPEST, Canvas, Pose, place
from .cutouts import Cutout
from .drawn import any_product
from .finish import camera
from .scenes import LEAST_VISIBLE, Material, Scene, write_scenes

_SIDES = (400, 640)
_DRAWN = 0.55
"""Share of products that are drawn: large, they are sharper than what photos show."""
_HEIGHT = 520
_COUNTS = (0, 1, 2, 3, 4, 6)
_COUNT_SHARES = (0.12, 0.42, 0.2, 0.12, 0.08, 0.06)
_ALONE = (0.45, 1.3)
"""Size of a single product, in shorter sides of the picture."""
_SPECKLED = 0.15
_SPECKLES = (0.003, 0.03)
"""Share of pixels that are black or white in a speckled picture, as a bad sensor or transfer leaves them."""


def paste_close_ups(
    out: Path, count: int, seed: int, shared: Path, progress: Progress = lambda done, total: None
) -> None:
    """Write `count` scenes to `out` in YOLO's layout; the same seed makes the same scenes.

    Args:
        shared: the folder with `data/trashnet`, `data/grocery` and `data/textures`.
        progress: told how many steps are done, of how many: first the cut-outs, then the scenes.
    """
    write_scenes(out, count, [seed, 3], shared, make_close_up, progress)


def make_close_up(rng: np.random.Generator, material: Material) -> Scene:
    """Make one scene of up to six large products, several of them often the same; some scenes hold none."""
    height, width = (int(side) for side in rng.integers(*_SIDES, 2))
    canvas = Canvas.of(_ground(rng, height, width, material.surfaces), rng)
    count = int(rng.choice(_COUNTS, p=_COUNT_SHARES))
    if count == 1:
        _lay(rng, canvas, _product(rng, material), (width / 2, height / 2), rng.uniform(*_ALONE) * min(height, width))
    elif count:
        _group(rng, canvas, material, count)
    boxes = canvas.visible_boxes(LEAST_VISIBLE)
    seen = camera(rng, canvas.pixels)
    return Scene(_speckled(rng, seen) if rng.random() < _SPECKLED else seen, boxes)


def _ground(rng: np.random.Generator, height: int, width: int, surfaces: Surfaces) -> Pixels:
    """Return a plain color, a gradient or a backdrop, often with lines of print."""
    pick = float(rng.random())
    if pick < 0.7:
        first, second = (_color(rng) for _ in range(2))
        across = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] if pick > 0.4 else np.zeros((1, 1, 1))
        ground = np.broadcast_to((1 - across) * first + across * second, (height, width, 3)).astype(np.uint8)
    else:
        ground = backdrop(rng, height, width, surfaces)
    for _ in range(int(rng.integers(1, 7)) if rng.random() < 0.6 else 0):
        wide, high = (round(float(rng.uniform(0.2, 1.0)) * side) for side in (width, height))
        x, y = int(rng.integers(0, width - wide + 1)), int(rng.integers(0, height - high + 1))
        part = ground[y : y + high, x : x + wide]
        write_poster(rng, part)
        if rng.random() < 0.15:  # print that is turned
            part[:] = cv2.resize(np.rot90(part).copy(), (wide, high))
    return ground


def _color(rng: np.random.Generator) -> np.ndarray:
    """Draw a color of an advertisement: white, black, or a saturated one."""
    pick = float(rng.random())
    if pick < 0.35:
        return np.array([255.0, 255.0, 255.0])
    if pick < 0.45:
        return np.zeros(3)
    return np.array(from_hsv(float(rng.random()), float(rng.uniform(0.1, 1)), float(rng.uniform(0.3, 1))), float)


def _group(rng: np.random.Generator, canvas: Canvas, material: Material, count: int) -> None:
    """Lay products side by side, near each other or one partly over the next."""
    height, width = canvas.pixels.shape[:2]
    same = _product(rng, material) if rng.random() < 0.5 else None
    size = rng.uniform(0.45, 1.0) * min(height, width)
    angle, turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.3 else 0.0, _turn(rng)
    along = np.array([np.cos(angle), np.sin(angle)])
    pieces = [same or _product(rng, material) for _ in range(count)]
    broad = [float(size * min(one.alpha.shape) / max(one.alpha.shape)) for one in pieces]
    gap = rng.uniform(0.8, 1.2)
    places = np.cumsum([0.0, *(gap * (a + b) / 2 for a, b in itertools.pairwise(broad))])
    for piece, at in zip(pieces, places - places.mean(), strict=True):
        middle = np.array([width, height]) / 2 + at * along + rng.normal(0, 0.03 * size, 2)
        tilted = turn + piece.upright_deg + rng.normal(0, 5)
        _lay(rng, canvas, piece, (float(middle[0]), float(middle[1])), size * rng.uniform(0.85, 1.1), tilted)


def _lay(
    rng: np.random.Generator,
    canvas: Canvas,
    cutout: Cutout,
    at: tuple[float, float],
    size: float,
    turn: float | None = None,
) -> None:
    height, width = canvas.pixels.shape[:2]
    if turn is None:
        turn = cutout.upright_deg + _turn(rng) + rng.normal(0, 5)
        at = (at[0] + float(rng.normal(0, 0.12)) * width, at[1] + float(rng.normal(0, 0.12)) * height)
    place(rng, canvas, cutout, Pose(*at, min(size, SHARPEST * max(cutout.alpha.shape)), turn, tilt=0.05))


def _turn(rng: np.random.Generator) -> float:
    """Draw a turn: mostly upright, some by quarters, a few any."""
    if rng.random() < 0.1:
        return float(rng.uniform(0, 360))
    return float(rng.choice([0, 90, 180, 270], p=[0.6, 0.17, 0.06, 0.17]))


def _product(rng: np.random.Generator, material: Material) -> Cutout:
    return any_product(rng, material, Light.draw(rng), _DRAWN, _HEIGHT)


def _speckled(rng: np.random.Generator, pixels_rgb: Pixels) -> Pixels:
    share = rng.uniform(*_SPECKLES)
    hit = rng.random(pixels_rgb.shape[:2]) < share
    pixels_rgb = pixels_rgb.copy()
    pixels_rgb[hit] = 255 * rng.integers(0, 2, (int(hit.sum()), 1))
    return pixels_rgb
