from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from training.render.design import KINDS, design_of
from training.render.product import Product
from training.render.sprite import Light, View, mask_box

_LIGHT = Light(azimuth=0.4, elevation=0.6, ambient=0.6, direct=0.5, highlights=((0.5, 0.1, 0.5),), seed=3)
_DIGEST = """
import hashlib
from training.render.product import Product
from training.render.sprite import Light, View, mask_box
light = Light(azimuth=0.4, elevation=0.6, ambient=0.6, direct=0.5, highlights=((0.5, 0.1, 0.5),), seed=3)
for seed in range(40, 52):
    sprite = Product.of(seed).draw(View(0.2, 0.1, light), 60)
    print(hashlib.sha256(sprite.paint.tobytes() + sprite.mask.tobytes()).hexdigest())
"""


def _digest(seed: int) -> str:
    sprite = Product.of(seed).draw(View(0.2, 0.1, _LIGHT), 60)
    return hashlib.sha256(sprite.paint.tobytes() + sprite.mask.tobytes()).hexdigest()


def test_another_process_draws_the_same_products() -> None:
    root = Path(__file__).parents[3]
    told = subprocess.run(
        [sys.executable, "-c", _DIGEST],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == [_digest(seed) for seed in range(40, 52)]


def test_varieties_of_a_brand_share_outline_and_layout() -> None:
    for brand in range(60):
        first, *others = (design_of(4 * brand + k) for k in range(4))
        for other in others:
            for field in ("kind", "radii", "width", "depth", "slots", "brand", "brand_font", "ground", "label_width"):
                assert getattr(other, field) == getattr(first, field), (brand, field)


def test_no_two_varieties_of_a_brand_look_alike() -> None:
    for brand in range(10):
        designs = [design_of(4 * brand + k) for k in range(4)]
        assert len({d.variety for d in designs}) == 4
        assert len({(d.accent, d.picture, d.body) for d in designs}) == 4
        drawn = [Product.of(4 * brand + k).draw(View(0.0, 0.0, _LIGHT), 120) for k in range(4)]
        for k, one in enumerate(drawn):
            for other in drawn[:k]:
                assert (one.paint != other.paint).any(2).mean() > 0.01, brand


def test_brands_differ() -> None:
    designs = [design_of(4 * brand) for brand in range(300)]
    assert len({(d.kind, d.brand, d.paper) for d in designs}) == 300
    assert {d.kind for d in designs} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_as_high_as_asked_and_opaque_or_glass(kind: str) -> None:
    for seed in range(4000, 4048, 4):
        product = Product(seed, design_of(seed, kind))
        for yaw, pitch in ((0.0, 0.0), (0.7, 0.3), (-2.5, -0.2)):
            sprite = product.draw(View(yaw, pitch, _LIGHT), 90)
            x1, y1, x2, y2 = mask_box(sprite.mask) or (0, 0, 0, 0)
            assert abs(y2 - y1 - 90) <= 6, (seed, yaw, pitch)
            assert x2 - x1 >= 8
            # Where nothing is, everything shines through and nothing is painted.
            outside = sprite.mask == 0
            assert (sprite.through[outside] == 255).all()
            assert not sprite.paint[outside].any()
            if not product.design.clear:
                assert not sprite.through[sprite.mask == 255].any()


def test_a_clear_bottle_lets_light_pass_only_where_no_label_is() -> None:
    bottles = (design_of(seed, "bottle") for seed in range(0, 400, 4))
    design = next(d for d in bottles if d.clear and d.label_width == 1 and d.logo_seed % 4)
    sprite = Product(0, design).draw(View(0.0, 0.0, _LIGHT), 200)
    middle = sprite.through[:, sprite.through.shape[1] // 2].max(1)
    top, bottom = round(200 * design.label_top), round(200 * design.label_bottom)
    assert not middle[top + 6 : bottom - 6].any()
    assert middle[bottom + 8 : 190].min() > 10


def test_a_design_is_a_value() -> None:
    assert asdict(design_of(77)) == asdict(design_of(77))
    assert hash(design_of(77)) == hash(design_of(77))
    assert np.isfinite(design_of(77).gloss)
