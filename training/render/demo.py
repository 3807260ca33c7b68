"""The demo's sample pictures: a gallery of drawn products, and counters and shelves to recognize them on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from . import surfaces
from .camera import developed
from .demo_products import Sample, samples
from .demo_scenes import FINE, HEIGHT, SCENES, TEXTURES, WIDTH, Compose, friendly_light
from .placing import cast_shadow, ground_shadow, pose
from .product import Product
from .sprite import Sprite, View
from .stage import Stage

_SIDE = 320


def draw_demo(
    out: Path, seed: int, everything: Sequence[Sample] = samples(), scenes: Mapping[str, Compose] = SCENES
) -> None:
    """Draw the sample pictures of the demo into a folder.

    Writes `gallery/<name>/1.jpg` to `3.jpg` (320 px: alone on white, lying, standing on a counter) for each of a dozen
    products, five `scenes/*.jpg` (1280 × 720) with several of them and some that are not enrolled, and
    `scenes/scenes.json`: `{"<file>": [{"box_xyxy": [x1, y1, x2, y2], "label": name or null}]}`, boxes in px.

    Args:
        out: folder, made where it is missing.
        seed: decides light, grain and small turns.
        everything, scenes: the products, and by name what draws each scene of them.
    """
    names = {sample.product.seed: sample.name for sample in everything}
    for number, sample in enumerate(everything):
        if sample.name is not None:
            folder = out / "gallery" / sample.name
            folder.mkdir(parents=True, exist_ok=True)
            for view, draw in enumerate((_catalog, _lying, _standing)):
                rng = np.random.default_rng((seed, number, view))
                _write(folder / f"{view + 1}.jpg", draw(rng, sample.product), 85)
    (out / "scenes").mkdir(parents=True, exist_ok=True)
    shown: dict[str, list[dict[str, object]]] = {}
    for number, (name, compose) in enumerate(scenes.items()):
        rng = np.random.default_rng((seed, 100 + number))
        stage = compose(rng, everything)
        _write(out / "scenes" / f"{name}.jpg", _photo(rng, stage.canvas, (WIDTH, HEIGHT)), 82)
        scene = stage.scene(stage.canvas)
        shown[f"{name}.jpg"] = [
            {"box_xyxy": [round(float(v) / FINE, 1) for v in box], "label": names[identity]}
            for identity, box in zip(scene.identities, scene.boxes_xyxy, strict=True)
        ]
    text = json.dumps(shown, ensure_ascii=False, indent=1)
    (out / "scenes" / "scenes.json").write_text(text + "\n", encoding="utf-8")


def _write(path: Path, image: Pixels, quality: int) -> None:
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(coded.tobytes())


def _photo(rng: np.random.Generator, canvas: Pixels, size: tuple[int, int], strength: float = 0.3) -> Pixels:
    """Make a finely drawn picture smaller, as a good camera takes it."""
    small = cv2.resize(developed(rng, canvas, strength), size, interpolation=cv2.INTER_AREA)
    return np.clip(small + rng.normal(0, 1.2, small.shape), 0, 255).astype(np.uint8)


def _catalog(rng: np.random.Generator, product: Product) -> Pixels:
    side = _SIDE * FINE
    light = friendly_light(rng)
    sprite = pose(product, View(float(rng.normal(0, 0.06)), 0.1, light), round(0.88 * side), rng, 0.0, TEXTURES)
    height, width = sprite.mask.shape
    canvas = np.full((side, side, 3), 252, np.uint8)
    x, y = (side - width) // 2, (side - height) // 2
    ground_shadow(canvas, sprite.mask, x, y, light, 0.1, 0.25)
    return _photo(rng, _with(canvas, sprite, x, y), (_SIDE, _SIDE), 0.12)


def _with(canvas: Pixels, sprite: Sprite, x: int, y: int) -> Pixels:
    stage = Stage(canvas)
    stage.put(None, sprite, x, y)
    return stage.canvas


def _lying(rng: np.random.Generator, product: Product) -> Pixels:
    """Draw a product that lies on its side, as a camera above the counter sees it."""
    side = _SIDE * FINE
    light = friendly_light(rng)
    draw = (surfaces.wood, surfaces.marble, surfaces.stone)[int(rng.integers(3))]
    canvas = draw(rng, side, side)
    roll = float(rng.choice([-1, 1])) * float(rng.uniform(1.2, 1.9))
    view = View(float(rng.uniform(-0.2, 0.2)), 0.03, light)
    sprite = pose(product, view, round(0.78 * side), rng, roll, TEXTURES)
    height, width = sprite.mask.shape
    x, y = (side - width) // 2, (side - height) // 2
    cast_shadow(canvas, sprite.mask, x, y, light, 0.5)
    return _photo(rng, _with(canvas, sprite, x, y), (_SIDE, _SIDE))


def _standing(rng: np.random.Generator, product: Product) -> Pixels:
    side = _SIDE * FINE
    light = friendly_light(rng)
    wall = cv2.GaussianBlur(surfaces.plain(rng, round(0.55 * side), side, (214, 210, 202)), (0, 0), 5)
    draw = (surfaces.wood, surfaces.marble, surfaces.stone)[int(rng.integers(3))]
    table = surfaces.receding(draw(rng, side - len(wall), side))
    canvas = surfaces.before(wall, table, 0.3)
    pitch = float(rng.uniform(0.15, 0.3))
    view = View(float(rng.choice([-1, 1])) * float(rng.uniform(0.15, 0.4)), pitch, light)
    sprite = pose(product, view, round(0.78 * side), rng, 0.0, TEXTURES)
    height, width = sprite.mask.shape
    x, y = (side - width) // 2, round(0.92 * side) - height
    ground_shadow(canvas, sprite.mask, x, y, light, pitch, 0.45)
    return _photo(rng, _with(canvas, sprite, x, y), (_SIDE, _SIDE))
