"""Photos with several products: on a counter, side by side, lying about, on a shelf, in a hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from .camera import photographed
from .design import VARIETIES
from .occluders import hand, price_tag, rail
from .placing import cast_shadow, ground_shadow, mirror, pose
from .poster import write_poster
from .product import Product
from .sprite import Light, View
from .stage import Scene, Stage
from .surfaces import Surfaces, backdrop, counter, surface


class Shot(NamedTuple):
    """The products of a photo, its size in px, its light, and photos of surfaces if there are any."""

    products: Sequence[Product]
    width: int
    height: int
    light: Light
    surfaces: Surfaces | None = None


def draw_scene(
    rng: np.random.Generator, products: Sequence[Product], width: int, height: int, surfaces: Surfaces | None = None
) -> Scene:
    """Draw a photo of products: standing on a counter, side by side near the camera, lying, on a shelf, or in a hand.

    On a counter each product stands once. Side by side there are two to six of them, or of one's varieties. A shelf
    repeats them until it is full. A hand holds the first, the others are left out. Of what is painted, only products
    that are at least 30 % visible have boxes.

    Args:
        rng: decides the photo.
        products: 1 to 12.
        width: of the photo in px.
        height: of the photo in px.
        surfaces: photos of surfaces for the background, from `load_surfaces`.

    Raises:
        ValueError: where there is no product.
    """
    if not products:
        raise ValueError("expected one product or more, found none")
    shot = Shot(products, width, height, Light.draw(rng), surfaces)
    stage = _KINDS[str(rng.choice(list(_KINDS), p=[0.3, 0.25, 0.13, 0.2, 0.12]))](rng, shot)
    if rng.random() < 0.25:
        stage.tilt(float(rng.normal(0, 0.12)))
    return stage.scene(photographed(rng, stage.canvas))


def _counter(rng: np.random.Generator, shot: Shot) -> Stage:
    """Stand products on a table; those farther away are smaller, higher in the picture, and painted first."""
    products, width, height, light, surfaces = shot
    pitch = float(rng.uniform(0.05, 0.6))
    edge = float(np.clip(0.62 - 0.75 * pitch + rng.normal(0, 0.08), 0.0, 0.8))
    stage = Stage(counter(rng, height, width, surfaces, edge) if edge > 0.05 else surface(rng, height, width, surfaces))
    if rng.random() < 0.15:
        write_poster(rng, stage.canvas)
    fill = float(rng.uniform(0.8, 1.5)) / len(products) ** 0.33
    unit = height * float(np.clip(0.66 * fill, 0.12, 0.72))
    shine = float(rng.uniform(0.05, 0.3)) if rng.random() < 0.4 else 0.0
    strength = float(rng.uniform(0.2, 0.6))
    places = _places(rng, len(products), edge)
    for product, (x, y) in zip(products, places, strict=True):
        far = (y - edge) / (1.0 - edge + 1e-6)
        size = max(0.06 * height, unit * product.height * (0.72 + 0.4 * far))
        view = View(float(rng.normal(0, 0.45)), pitch * float(rng.uniform(0.85, 1.0)), light)
        sprite = product.draw(view, round(size))
        h, w = sprite.mask.shape
        left, top = round(x * width - w / 2), round(y * height) - h
        ground_shadow(stage.canvas, sprite.mask, left, top, light, pitch, strength)
        if shine:
            mirror(stage.canvas, sprite, left, top, shine)
        stage.put(product.seed, sprite, left, top)
    return stage


def _places(rng: np.random.Generator, n: int, edge: float) -> list[tuple[float, float]]:
    """Return where n feet stand, as shares of width and height, from the back to the front; apart as far as it goes."""
    places: list[tuple[float, float]] = []
    tried = int(rng.integers(2, 10))  # few: they stand in each other's way
    low = min(0.93, max(edge + 0.06, 0.42))
    for _ in range(n):
        tries = [(float(rng.uniform(0.06, 0.94)), float(rng.uniform(low, 0.99))) for _ in range(tried)]
        apart = [min((np.hypot(x - a, 0.7 * (y - b)) for a, b in places), default=1.0) for x, y in tries]
        places.append(tries[int(np.argmax(apart))])
    return sorted(places, key=lambda place: place[1])


def _row(rng: np.random.Generator, shot: Shot) -> Stage:
    """Stand narrow products side by side before the camera, as an advertisement does: apart, touching, overlapping."""
    products, width, height, light, surfaces = shot
    pitch, foot = float(rng.uniform(0.0, 0.3)), float(rng.uniform(0.72, 1.02))
    stage = Stage(_out_of_focus(rng, counter(rng, height, width, surfaces, foot - float(rng.uniform(0.08, 0.4)))))
    if rng.random() < 0.3:
        write_poster(rng, stage.canvas)
    row = _side_by_side(rng, products)
    gap = float(rng.uniform(-0.12, 0.5))
    broad = sum(product.height * product.aspect for product in row) * (1 + max(gap, 0.0))
    unit = float(rng.uniform(0.6, 1.1)) * min(0.9 * height / max(product.height for product in row), width / broad)
    x = width / 2 + float(rng.normal(0, 0.08)) * width - broad * unit / 2
    strength, spread = float(rng.uniform(0.1, 0.5)), float(rng.uniform(0.0, 0.03))
    placed = []
    for product in row:
        view = View(float(rng.normal(0, 0.3)), pitch, light)
        sprite = product.draw(view, max(24, round(unit * product.height)))
        placed.append((foot * height + float(rng.normal(0, spread)) * height, round(x), product, sprite))
        x += sprite.mask.shape[1] * (1 + gap + float(rng.normal(0, 0.05)))
    for y, left, product, sprite in sorted(placed, key=lambda standing: standing[0]):
        top = round(y) - sprite.mask.shape[0]
        ground_shadow(stage.canvas, sprite.mask, left, top, light, pitch, strength)
        stage.put(product.seed, sprite, left, top)
    return stage


def _side_by_side(rng: np.random.Generator, products: Sequence[Product]) -> list[Product]:
    """Return two to six narrow products: one several times, its varieties, or several."""
    narrow = sorted(products, key=lambda product: product.aspect)
    first, number, pick = narrow[0], int(rng.integers(2, 7)), float(rng.random())
    if pick < 0.2:
        return [first] * number
    if pick < 0.6 or len(products) == 1:
        brand = first.seed - first.seed % VARIETIES
        return [Product.of(brand + int(k)) for k in rng.permutation(VARIETIES)[:number]]
    return [narrow[int(k)] for k in rng.permutation(min(number, len(narrow)))]


def _out_of_focus(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """Blur what is behind, and often brighten it."""
    blurred = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(1, 14)))
    share = float(rng.uniform(0.3, 0.9)) if rng.random() < 0.4 else 0.0
    return cv2.addWeighted(blurred, 1 - share, blurred, 0, 250 * share)


def _lying(rng: np.random.Generator, shot: Shot) -> Stage:
    """Lay products on a table that is seen from above, turned any way."""
    products, width, height, light, surfaces = shot
    stage = Stage(surface(rng, height, width, surfaces))
    unit = min(width, height) * float(np.clip(1.1 / len(products) ** 0.45 * rng.uniform(0.7, 1.2), 0.14, 0.7))
    for product, (x, y) in zip(products, _places(rng, len(products), -0.3), strict=True):
        view = View(float(rng.normal(0, 0.5)), float(rng.normal(0, 0.12)), light)
        roll = float(rng.uniform(-np.pi, np.pi)) if rng.random() < 0.6 else float(rng.normal(0, 0.2))
        sprite = pose(product, view, max(24, round(unit * product.height)), rng, roll)
        h, w = sprite.mask.shape
        left, top = round(x * width - w / 2), round((y - 0.4) / 0.6 * 0.84 * height + 0.08 * height - h / 2)
        cast_shadow(stage.canvas, sprite.mask, left, top, light, 0.5)
        stage.put(product.seed, sprite, left, top)
    return stage


def shelf(rng: np.random.Generator, shot: Shot) -> Stage:
    """Fill the boards of a shelf from left to right, the same product several times side by side."""
    products, width, height, _, surfaces = shot
    rows = 1 if len(products) < 3 else int(rng.integers(1, 4))
    stage = Stage(backdrop(rng, height, width, surfaces))
    dark = float(rng.uniform(0.25, 0.8))
    stage.canvas = np.clip(cv2.GaussianBlur(stage.canvas, (0, 0), 3) * dark, 0, 255).astype(np.uint8)
    start = -float(rng.uniform(0, 0.3))
    board = height / (rows - start * 0.5)
    turn = 0
    for row in range(rows + 1):
        foot = round((row + 1 + start * 0.7) * board)
        if foot - board > height:
            break
        turn = _board(stage, rng, shot, turn, foot, board)
    return stage


def _board(stage: Stage, rng: np.random.Generator, shot: Shot, turn: int, foot: int, board: float) -> int:
    """Fill one board; return how many kinds have been set up so far."""
    products, light, width = shot.products, shot.light, stage.canvas.shape[1]
    pitch = float(rng.uniform(0.0, 0.22))
    tight = float(rng.uniform(0.0, 0.12))
    edge = max(6, round(board * float(rng.uniform(0.06, 0.12))))
    x = -int(rng.integers(0, round(0.15 * board) + 1))
    yaw_spread = float(rng.uniform(0.05, 0.35))
    while x < width:
        product = products[turn % len(products)]
        turn += 1
        size = round(min(0.86, 0.3 + 0.55 * product.height) * board)
        for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.35, 0.3, 0.2, 0.15]))):
            view = View(float(rng.normal(0, yaw_spread)), pitch, light)
            sprite = product.draw(view, size)
            h, w = sprite.mask.shape
            if x >= width:
                break
            cast_shadow(stage.canvas, sprite.mask, x, foot - edge // 2 - h, light, 0.5)
            stage.put(product.seed, sprite, x, foot - edge // 2 - h)
            x += max(8, round(w * (1 + tight * float(rng.uniform(-0.5, 1)))))
        x += round(float(rng.exponential(0.06)) * board)
    front = rail(rng, edge, width)
    stage.put(None, front, 0, foot - edge // 2)
    return turn


def _in_hand(rng: np.random.Generator, shot: Shot) -> Stage:
    """Hold the first product in a hand."""
    (product, *_), width, height, light, surfaces = shot
    stage = Stage(backdrop(rng, height, width, surfaces))
    view = View(float(rng.normal(0, 0.4)), float(rng.uniform(-0.15, 0.4)), light)
    sprite = pose(
        product, view, round(min(width, height) * float(rng.uniform(0.35, 0.7))), rng, float(rng.normal(0, 0.25))
    )
    h, w = sprite.mask.shape
    x, y = (
        int(rng.integers(width // 12, max(width // 12 + 1, width * 11 // 12 - w))),
        int(rng.integers(0, max(1, height - h))),
    )
    behind, before = hand(rng, height, width, (x, y, x + w, y + h))
    stage.put(None, behind, 0, 0)
    stage.put(product.seed, sprite, x, y)
    stage.put(None, before, 0, 0)
    if rng.random() < 0.1:
        stage.put(None, price_tag(rng, height // 14, width // 7), int(rng.integers(width)), int(rng.integers(height)))
    return stage


_KINDS = {"counter": _counter, "row": _row, "lying": _lying, "shelf": shelf, "hand": _in_hand}
