"""Views are the same at every size, and what they show is really there."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.extractor.views import cut, normalise, part_of, relight


def test_the_whole_picture_is_itself() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    assert (cut(picture, whole, 64) == picture).all()


def test_a_quarter_is_that_quarter() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    lower_right = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5]], np.float32)
    assert (cut(picture, lower_right, 32) == picture[32:, 32:]).all()


@pytest.mark.parametrize("view", range(20))
def test_teacher_and_student_see_the_same_at_their_sizes(view: int) -> None:
    gradient = np.linspace(0, 255, 128)
    picture = np.stack(np.broadcast_arrays(gradient[None], gradient[:, None], 128.0), -1).astype(np.uint8)
    part = part_of(7, view)
    small, large = cut(picture, part, 32), cut(picture, part, 96)
    shrunk = large.reshape(32, 3, 32, 3, 3).mean((1, 3))
    # Mirrored edges bend the gradient where a view looks beyond the picture: most pixels, not all.
    assert np.quantile(np.abs(small - shrunk), 0.95) <= 3


def test_views_stay_near_the_picture_and_differ() -> None:
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]).T
    parts = np.array([part_of(row, view) for row in range(30) for view in range(4)])
    reach = parts @ corners
    assert reach.min() > -0.5
    assert reach.max() < 1.5
    assert len(np.unique(parts[:, 0, 0])) == 120
    assert (part_of(3, 1) == part_of(3, 1)).all()


def test_light_changes_what_is_seen_but_not_the_range() -> None:
    images = torch.rand(16, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 255
    seen = relight(images.clone(), torch.Generator().manual_seed(1))
    again = relight(images.clone(), torch.Generator().manual_seed(1))
    assert torch.equal(seen, again)
    assert seen.min() >= 0
    assert seen.max() <= 255
    assert ((seen - images).abs().mean((1, 2, 3)) > 1).all()


def test_imagenet_mean_becomes_zero() -> None:
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
    assert normalise(mean.expand(1, 3, 2, 2)).abs().max() < 1e-5
