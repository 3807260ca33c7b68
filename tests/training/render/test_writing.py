from __future__ import annotations

import numpy as np
import pytest

from training.render.pictures import PICTURES, logo, picture
from training.render.writing import FONTS, STROKES, text_mask


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("text", ["Oat drink", "молоко", chr(STROKES) + chr(STROKES + 9)])
def test_text_is_tight_and_has_ink(font: str, text: str) -> None:
    mask = text_mask(text, font)
    assert mask.max() > 200
    assert mask[0].any()
    assert mask[-1].any()
    assert mask[:, 0].any()
    assert mask[:, -1].any()
    assert 0.05 < (mask > 127).mean() < 0.85


def test_lines_stand_below_each_other() -> None:
    one, two = text_mask("Oat", FONTS[1]), text_mask("Oat\nOat", FONTS[1])
    assert two.shape[0] > 2 * one.shape[0]
    np.testing.assert_array_equal(two[: one.shape[0]], two[-one.shape[0] :])


def test_stroke_glyphs_differ() -> None:
    glyphs = {text_mask(chr(STROKES + code), FONTS[0]).tobytes() for code in range(400)}
    assert len(glyphs) > 380


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_fill_their_square_in_their_color(name: str) -> None:
    drawn = picture(name, (200, 30, 40), (30, 40, 200), 64)
    assert drawn.shape == (64, 64, 4)
    assert 0.05 < (drawn[..., 3] > 127).mean() < 0.95
    other = picture(name, (30, 200, 40), (30, 40, 200), 64)
    assert (drawn != other).any()


def test_logos_differ() -> None:
    assert len({logo(seed, (9, 9, 9), (250, 250, 250), 48).tobytes() for seed in range(60)}) == 60
