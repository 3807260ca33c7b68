"""The demo's scenes: which products stand where, on what, and how they are lit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from . import surfaces
from .demo_products import Sample
from .occluders import hand, rail
from .placing import cast_shadow, ground_shadow, mirror, pose
from .product import Product
from .scene import Shot, shelf
from .sprite import Light, View
from .stage import Stage

WIDTH, HEIGHT = 1280, 720
FINE = 2
"""Everything is drawn so many times larger, and then made smaller: smooth edges and sharp letters."""
TEXTURES = 2.0
"""Scale of labels."""
_FOREIGN = range(9_000_000, 9_000_060)
"""Seeds of what stands on the shelves far behind."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Place of a product: middle and foot as shares of width and height, turned (radians), larger or smaller."""

    printed: str
    x: float
    foot: float
    yaw: float = 0.0
    size: float = 1.0
    roll: float = 0.0


def friendly_light(rng: np.random.Generator) -> Light:
    """Draw a friendly light: soft, from above and one side, with a window and a lamp mirrored."""
    side = float(rng.choice([-1, 1]))
    return Light(
        azimuth=side * float(rng.uniform(0.3, 0.7)),
        elevation=float(rng.uniform(0.55, 0.8)),
        ambient=float(rng.uniform(0.58, 0.68)),
        direct=float(rng.uniform(0.42, 0.52)),
        highlights=((side * 0.6, 0.09, 0.7), (-side * 0.9, 0.05, 0.35)),
        seed=int(rng.integers(1 << 30)),
    )


def shop(rng: np.random.Generator, height: int, width: int, light: Light) -> Pixels:
    """Return shelves far behind, out of focus."""
    products = [Product.of(int(seed)) for seed in rng.choice(_FOREIGN, 9)]
    stage = shelf(rng, Shot(products, width // 2, height // 2, light))
    return cv2.GaussianBlur(cv2.resize(stage.canvas, (width, height)), (0, 0), 0.014 * height)


def _find(everything: Sequence[Sample], printed: str) -> Product:
    """Return the product whose label says this."""
    return next(sample.product for sample in everything if sample.printed == printed)


def _stand(
    stage: Stage,
    everything: Sequence[Sample],
    places: Sequence[_Place],
    light: Light,
    pitch: float,
    unit: float,
    shine: float = 0.0,
) -> None:
    """Stand products on a table, from the back to the front."""
    height, width = stage.owner.shape
    for place in sorted(places, key=lambda place: place.foot):
        product = _find(everything, place.printed)
        sprite = product.draw(
            View(place.yaw, pitch, light), round(unit * height * product.height * place.size), TEXTURES
        )
        h, w = sprite.mask.shape
        x, y = round(place.x * width - w / 2), round(place.foot * height) - h
        ground_shadow(stage.canvas, sprite.mask, x, y, light, pitch, 0.45)
        if shine:
            mirror(stage.canvas, sprite, x, y, shine)
        stage.put(product.seed, sprite, x, y)


def _kitchen(rng: np.random.Generator, everything: Sequence[Sample]) -> Stage:
    light = friendly_light(rng)
    height, width = HEIGHT * FINE, WIDTH * FINE
    wall = cv2.GaussianBlur(surfaces.tiles(rng, round(0.5 * height), width, (222, 226, 220)), (0, 0), 4)
    table = surfaces.receding(surfaces.wood(rng, height - len(wall), width, (176, 124, 80)))
    stage = Stage(surfaces.before(wall, table, 0.35))
    places = [
        _Place("OAT drink 1 litre", 0.2, 0.8, 0.3),
        _Place("Tomato juice", 0.4, 0.74, -0.2),
        _Place("Honey from meadows", 0.55, 0.9, 0.15),
        _Place("COLA classic", 0.7, 0.82, 0.25),
        _Place("TUNA in brine", 0.87, 0.88, -0.2, 0.85),
    ]
    _stand(stage, everything, places, light, 0.16, 0.72)
    return stage


def _marble_counter(rng: np.random.Generator, everything: Sequence[Sample]) -> Stage:
    light = friendly_light(rng)
    height, width = HEIGHT * FINE, WIDTH * FINE
    wall = cv2.GaussianBlur(shop(rng, round(0.42 * height), width, light), (0, 0), 9)
    table = surfaces.receding(surfaces.marble(rng, height - len(wall), width, (232, 230, 226)))
    stage = Stage(surfaces.before(wall, table, 0.4))
    places = [
        _Place("Crispbread with rye", 0.5, 0.6, -0.35),
        _Place("Orange juice 100 % fruit", 0.22, 0.72, 0.4),
        _Place("Apple juice 100 % fruit", 0.76, 0.74, -0.3),
        _Place("Strawberry yoghurt", 0.38, 0.9, 0.1),
        _Place("Blueberry yoghurt", 0.58, 0.88, -0.15),
        _Place("Ground coffee dark roast", 0.9, 0.93, -0.1, 0.8),
    ]
    _stand(stage, everything, places, light, 0.28, 0.68, shine=0.16)
    return stage


def _shelves(rng: np.random.Generator, everything: Sequence[Sample]) -> Stage:
    light = friendly_light(rng)
    height, width = HEIGHT * FINE, WIDTH * FINE
    back = surfaces.plain(rng, height, width, (96, 98, 104))
    stage = Stage(back)
    water, still, tea, juice = "Sparkling water", "Still water", "Green tea unsweetened", "Tomato juice"
    upper = [water, water, still, still, tea, juice, juice]
    lower = ["COLA zero", "COLA zero", "COLA classic", "COLA classic", "Honey from meadows"]
    for foot, row, unit in ((0.5, upper, 0.5), (0.98, lower, 0.86)):
        edge = round(0.055 * height)
        products = [_find(everything, printed) for printed in row]
        views = [View(float(rng.normal(0, 0.12)), 0.06, light) for _ in row]
        sprites = [
            one.draw(view, round(unit * height * one.height), TEXTURES)
            for one, view in zip(products, views, strict=True)
        ]
        gap = (width * 0.94 - sum(s.mask.shape[1] for s in sprites)) / (len(sprites) + 1)
        x = 0.03 * width + gap
        for product, sprite in zip(products, sprites, strict=True):
            h, w = sprite.mask.shape
            top = round(foot * height) - edge // 2 - h
            cast_shadow(stage.canvas, sprite.mask, round(x), top, light, 0.5)
            stage.put(product.seed, sprite, round(x), top)
            x += w + gap
        stage.put(None, rail(rng, edge, width), 0, round(foot * height) - edge // 2)
    return stage


def _from_above(rng: np.random.Generator, everything: Sequence[Sample]) -> Stage:
    light = friendly_light(rng)
    height, width = HEIGHT * FINE, WIDTH * FINE
    stage = Stage(surfaces.stone(rng, height, width, (84, 88, 94)))
    places = [
        _Place("COLA zero", 0.16, 0.34, 0.1, 0.9, 1.2),
        _Place("Sparkling water", 0.37, 0.6, 0.0, 1.0, -1.3),
        _Place("Ground coffee dark roast", 0.62, 0.35, 0.0, 0.8, 0.25),
        _Place("OAT drink 1 litre", 0.84, 0.52, 0.25, 0.85, -0.2),
        _Place("TUNA in brine", 0.62, 0.82, 0.0, 0.8, 0.4),
        _Place("Apple juice 100 % fruit", 0.14, 0.77, -0.2, 0.7, 1.75),
    ]
    for place in places:
        product = _find(everything, place.printed)
        long_side = round(0.62 * height * place.size * product.height**0.7)
        sprite = pose(product, View(place.yaw, 0.03, light), long_side, rng, place.roll, TEXTURES)
        h, w = sprite.mask.shape
        x, y = round(place.x * width - w / 2), round(place.foot * height - h / 2)
        cast_shadow(stage.canvas, sprite.mask, x, y, light, 0.5)
        stage.put(product.seed, sprite, x, y)
    return stage


def _checkout(rng: np.random.Generator, everything: Sequence[Sample]) -> Stage:
    light = friendly_light(rng)
    height, width = HEIGHT * FINE, WIDTH * FINE
    wall = shop(rng, round(0.5 * height), width, light)
    table = surfaces.receding(surfaces.plain(rng, height - len(wall), width, (58, 62, 70)))
    stage = Stage(surfaces.before(wall, table, 0.3))
    places = [
        _Place("Green tea unsweetened", 0.1, 0.8, 0.2),
        _Place("COLA classic", 0.25, 0.84, -0.1),
        _Place("Strawberry yoghurt", 0.72, 0.9, 0.2),
        _Place("Still water", 0.87, 0.78, -0.1),
        _Place("Crispbread with rye", 0.64, 0.72, 0.3, 0.9),
    ]
    _stand(stage, everything, places, light, 0.22, 0.68, shine=0.22)
    held = _find(everything, "Orange juice 100 % fruit")
    sprite = pose(held, View(-0.25, 0.1, light), round(0.5 * height), rng, 0.12, TEXTURES)
    h, w = sprite.mask.shape
    x, y = round(0.46 * width - w / 2), round(0.36 * height)
    behind, before = hand(rng, height, width, (x, y, x + w, y + h))
    stage.put(None, behind, 0, 0)
    stage.put(held.seed, sprite, x, y)
    stage.put(None, before, 0, 0)
    return stage


Compose = Callable[[np.random.Generator, Sequence[Sample]], Stage]
SCENES: dict[str, Compose] = {
    "kitchen": _kitchen,
    "counter": _marble_counter,
    "shelf": _shelves,
    "from-above": _from_above,
    "checkout": _checkout,
}
"""By the name of the picture's file."""
