from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render import scene as scene_module
from training.render.design import VARIETIES
from training.render.poster import write_poster
from training.render.product import Product
from training.render.scene import draw_scene
from training.render.sprite import Sprite, View
from training.render.stage import Scene

_PRODUCTS = [Product.of(seed) for seed in (8, 21, 34, 47, 60)]


def test_the_same_generator_draws_the_same_scene() -> None:
    one, other = (draw_scene(np.random.default_rng(3), _PRODUCTS, 320, 240) for _ in range(2))
    np.testing.assert_array_equal(one.image_rgb, other.image_rgb)
    np.testing.assert_array_equal(one.boxes_xyxy, other.boxes_xyxy)
    assert one.identities == other.identities
    assert one.image_rgb.shape == (240, 320, 3)
    assert one.image_rgb.dtype == np.uint8


def test_boxes_lie_in_the_picture_and_name_the_products() -> None:
    for k in range(20):
        drawn = draw_scene(np.random.default_rng(k), _PRODUCTS, 300, 260)
        assert drawn.boxes_xyxy.shape == (len(drawn.identities), 4)
        brands = {product.seed // VARIETIES for product in _PRODUCTS}
        assert {seed // VARIETIES for seed in drawn.identities} <= brands
        x1, y1, x2, y2 = drawn.boxes_xyxy.T
        assert (x1 >= 0).all()
        assert (y1 >= 0).all()
        assert (x2 <= 300).all()
        assert (y2 <= 260).all()
        assert (x2 > x1).all()
        assert (y2 > y1).all()


class _Choosing:
    """A generator that draws as another, but for the kind of scene."""

    def __init__(self, seed: int, kind: str) -> None:
        self._rng, self._kind = np.random.default_rng(seed), kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rng, name)

    def choice(self, choices: Any, *arguments: Any, **named: Any) -> Any:
        """Choose the kind where that is among the choices."""
        if isinstance(choices, list) and self._kind in choices:
            return self._kind
        return self._rng.choice(choices, *arguments, **named)


def test_in_a_row_things_of_about_one_size_stand_beside_one_another() -> None:
    close = 0
    for k in range(12):
        rng = cast(np.random.Generator, _Choosing(k, "row"))
        drawn = draw_scene(rng, _PRODUCTS, 400, 300)
        assert 1 <= len(drawn.boxes_xyxy) <= 6
        left, _, right, _ = drawn.boxes_xyxy[drawn.boxes_xyxy[:, 0].argsort()].T
        widths = right - left
        # A tilted picture moves them a little, none stands before another.
        assert (left[1:] - right[:-1] > -0.5 * np.minimum(widths[1:], widths[:-1])).all()
        close += int(((left[1:] - right[:-1]) < 0.3 * widths[:-1]).sum())
    assert close > 12


def test_a_poster_can_be_read_and_keeps_to_the_picture() -> None:
    for k in range(30):
        before = np.full((360, 520, 3), 40 + 5 * k, np.uint8)
        canvas = before.copy()
        write_poster(np.random.default_rng(k), canvas)
        change = np.abs(canvas.astype(int) - before).max(2)
        assert change.max() > 60
        assert 0.001 < (change > 30).mean() < 0.7


def _recolor(
    patch: pytest.MonkeyPatch, original: Callable[[Product, View, int, float], Sprite], seed: int, level: int
) -> None:
    """Draw all products opaque, and one of them in plain gray."""

    def draw(self: Product, view: View, height: int, scale: float = 1.0) -> Sprite:
        sprite = original(self, view, height, scale)
        mask = np.repeat(sprite.mask[..., None], 3, 2)
        paint = (mask / 255 * (level if self.seed == seed else 90)).astype(np.uint8)
        return Sprite(paint, 255 - mask, sprite.mask)

    patch.setattr(Product, "draw", draw)


def _seen(patch: pytest.MonkeyPatch, k: int, seed: int) -> tuple[Scene, NDArray[np.bool_]]:
    """Return a scene and where a product is seen in it: where its color changes the picture, more than half."""
    original = Product.draw
    pictures = []
    for level in (10, 250):
        _recolor(patch, original, seed, level)
        pictures.append(draw_scene(np.random.default_rng(k), _PRODUCTS, 320, 280))
    patch.setattr(Product, "draw", original)
    change = pictures[1].image_rgb[..., 1].astype(int) - pictures[0].image_rgb[..., 1]
    return pictures[0], change > 120


@pytest.mark.parametrize("k", range(10))
def test_a_box_is_the_extent_of_the_pixels_that_the_product_changes(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_module, "photographed", lambda rng, image: image)
    monkeypatch.setattr(scene_module, "mirror", lambda *arguments: None)
    checked = 0
    for product in _PRODUCTS:
        drawn, changed = _seen(monkeypatch, k, product.seed)
        for box, seed in zip(drawn.boxes_xyxy, drawn.identities, strict=True):
            if seed != product.seed or drawn.identities.count(seed) > 1:
                continue  # on a shelf the same product stands side by side, and one changes as the other
            rows, columns = changed.nonzero()
            extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            np.testing.assert_allclose(box, extent, atol=1.0)
            checked += 1
    assert checked or len(set(drawn.identities)) < len(drawn.identities)


def test_a_scene_needs_a_product() -> None:
    with pytest.raises(ValueError, match="one product or more"):
        draw_scene(np.random.default_rng(0), [], 100, 100)
