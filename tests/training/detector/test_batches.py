"""Batches are drawn by seed, step and rank, in the shares wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.detector.batches import Batches
from training.detector.photos import Photo, photo_names, read_photos


def test_a_step_is_the_same_after_a_restart_and_another_in_another_process(drawn: Path) -> None:
    photos = read_photos(drawn, photo_names(drawn))
    one, two, other = (
        Batches([photos], [1], 4, lambda _: ((64, 64), (96, 64)), seed=1, rank=rank) for rank in (0, 0, 1)
    )
    for step in range(4):
        images, boxes, image = one[step]
        assert images.shape[1:] in {(64, 64, 3), (96, 64, 3)}
        assert len(images) == 4
        assert len(boxes) == len(image)
        assert image.max() < 4
        assert all(torch.equal(a, b) for a, b in zip((images, boxes, image), two[step], strict=True))
        assert other[step][0].shape == images.shape
        assert not torch.equal(other[step][0], images)
    assert len({one[step][0].shape for step in range(12)}) == 2


def test_sources_are_drawn_by_weight() -> None:
    """One source has a thing in each photo, the other none."""
    thing = Photo("thing", np.full((64, 64, 3), 99, np.uint8), np.array([[0, 0, 64, 64]], np.float32))
    nothing = Photo("nothing", thing.pixels_rgb, np.zeros((0, 4), np.float32))
    batches = Batches([[thing], [nothing] * 50], [3, 1], 64, lambda _: ((48, 48),), seed=0)
    drawn = [batches[step] for step in range(4)]
    empty = 1 - sum(len(set(image.tolist())) for _, _, image in drawn) / 256
    # An image is of one photo in 60, of two in 10, of four in 17 of a hundred, else of nine or sixteen.
    expected = 0.6 * 0.25 + 0.1 * 0.25**2 + 0.17 * 0.25**4
    assert empty == pytest.approx(expected, abs=0.08)
