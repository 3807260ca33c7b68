from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.render.surfaces import DRAWN, backdrop, load_surfaces, surface


def test_surfaces_are_read_as_rgb_in_order_of_name(tmp_path: Path) -> None:
    for name, bgr in (("b.png", (10, 20, 30)), ("a.png", (0, 0, 200))):
        cv2.imwrite(str(tmp_path / name), np.full((8, 9, 3), bgr, np.uint8))
    (tmp_path / "readme.txt").write_text("no picture", encoding="utf-8")
    first, second = load_surfaces(tmp_path)
    assert first.shape == (8, 9, 3)
    assert first[0, 0].tolist() == [200, 0, 0]
    assert second[0, 0].tolist() == [30, 20, 10]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="found none"):
        load_surfaces(tmp_path)


def test_a_part_of_a_photo_has_its_colors() -> None:
    photo = np.full((100, 120, 3), (40, 160, 80), np.uint8)
    greens = [surface(np.random.default_rng(k), 20, 30, [photo]) for k in range(40)]
    from_photo = [s for s in greens if (s[..., 1] > 1.7 * s[..., 2]).all() and (s[..., 2] > 1.5 * s[..., 0]).all()]
    assert 0.4 < len(from_photo) / 40 < 0.9


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_surfaces_have_the_color_that_is_asked_for(name: str) -> None:
    drawn = DRAWN[name](np.random.default_rng(1), 60, 90, (120, 90, 60))
    assert drawn.shape == (60, 90, 3)
    np.testing.assert_allclose(np.median(drawn, axis=(0, 1)), (120, 90, 60), rtol=0.25)


def test_backdrops_of_any_size() -> None:
    for k, (height, width) in enumerate([(9, 200), (200, 9), (64, 64)] * 8):
        assert backdrop(np.random.default_rng(k), height, width, None).shape == (height, width, 3)
