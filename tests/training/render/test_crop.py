from __future__ import annotations

import numpy as np
import pytest

from training.render.crop import draw_crop
from training.render.design import KINDS, design_of
from training.render.product import Product


@pytest.mark.parametrize("kind", KINDS)
def test_crops_of_every_kind(kind: str) -> None:
    product = Product(4000, design_of(4000, kind))
    crops = [draw_crop(product, np.random.default_rng((1, k)), 48) for k in range(12)]
    for crop in crops:
        assert crop.shape == (48, 48, 3)
        assert crop.dtype == np.uint8
        assert crop.std() > 3
    again = draw_crop(product, np.random.default_rng((1, 5)), 48)
    np.testing.assert_array_equal(again, crops[5])
    assert all((one != other).mean() > 0.3 for k, one in enumerate(crops) for other in crops[:k])


def test_a_share_of_the_crops_are_catalog_pictures() -> None:
    product = Product(4000, design_of(4000, "bottle"))
    crops = [draw_crop(product, np.random.default_rng((2, k)), 32) for k in range(80)]
    # Alone on a plain ground: the four corners are of one color.
    corners = [np.stack([crop[i, j] for i in (0, -1) for j in (0, -1)]).astype(int) for crop in crops]
    plain = np.mean([np.ptp(corner, axis=0).max() < 12 for corner in corners])
    assert 0.08 < plain < 0.4


def test_a_crop_stretches_a_high_package_to_the_square() -> None:
    product = Product(4000, design_of(4012, "bottle"))
    assert product.aspect < 0.3
    widths = []
    for k in range(40):
        crop = draw_crop(product, np.random.default_rng((3, k)), 64).astype(int)
        left, right = crop[:, :2].mean((0, 1)), crop[:, -2:].mean((0, 1))
        middle = crop[40:56, 26:38].mean((0, 1))
        widths.append(min(np.abs(middle - left).max(), np.abs(middle - right).max()))
    assert np.median(widths) > 15  # the bottle's body reaches the middle in most of them
