"""Boards of drawn cabinets, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from training.paste.cabinet import draw_cabinet

SURFACE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_boards_lie_below_one_another(seed: int) -> None:
    cabinet = draw_cabinet(np.random.default_rng(seed), 240, 180, [SURFACE])
    assert cabinet.pixels_rgb.shape == (240, 180, 3)
    assert cabinet.pixels_rgb.dtype == np.uint8
    assert len(cabinet.boards) >= 2
    for board in cabinet.boards:
        assert board.left < board.right
        assert board.ceiling < board.front
        assert board.back <= board.front
    fronts = [board.front for board in cabinet.boards]
    assert fronts == sorted(fronts)
    for upper, lower in zip(cabinet.boards, cabinet.boards[1:], strict=False):
        assert lower.ceiling > upper.front  # a board is as thick as that


def test_the_seed_decides() -> None:
    one, same, other = (draw_cabinet(np.random.default_rng(seed), 120, 160, [SURFACE]) for seed in (3, 3, 4))
    assert (one.pixels_rgb == same.pixels_rgb).all()
    assert one.boards == same.boards
    assert (one.pixels_rgb != other.pixels_rgb).any()
