"""Views are the same at every size, and what they show is really there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.extractor.views import cut, cut_all, draw_boxes, normalize, part_of, relight


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
    # Mirrored edges bend the gradient where a view looks beyond the image: most pixels, not all.
    assert np.quantile(np.abs(small - shrunk), 0.95) <= 3


def test_many_views_at_once_are_the_same_views() -> None:
    """But for rounding, and beyond the edges, where the last pixel counts twice."""
    rng = np.random.default_rng(2)
    picture = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (72, 72), interpolation=cv2.INTER_CUBIC)
    parts = np.stack([part_of(3, view) for view in range(12)])
    pictures = torch.from_numpy(picture).permute(2, 0, 1)[None].expand(12, -1, -1, -1).float()
    seen = cut_all(pictures, torch.from_numpy(parts), 48).permute(0, 2, 3, 1).numpy()
    for part, view in zip(parts, seen, strict=True):
        assert np.quantile(np.abs(cut(picture, part, 48) - view), 0.85) <= 2.5


def test_boxes_lie_inside_and_have_their_size() -> None:
    drawn = torch.rand(200, 4, generator=torch.Generator().manual_seed(3))
    inside = draw_boxes(drawn, (0.3, 0.7), (50, 80))
    assert inside.shape == (200, 1, 50, 80)
    high, wide = inside.any(3).sum(2).flatten() / 50, inside.any(2).sum(2).flatten() / 80
    torch.testing.assert_close(high, drawn[:, 0] * 0.4 + 0.3, rtol=0, atol=0.021)
    torch.testing.assert_close(wide, drawn[:, 1] * 0.4 + 0.3, rtol=0, atol=0.013)
    corner = draw_boxes(torch.tensor([[0.0, 0.0, 0.0, 1.0]]), (0.3, 0.7), (10, 10))[0, 0]
    assert corner[:3, 7:].all()
    assert corner.sum() == 9


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


def test_light_of_no_strength_changes_nothing() -> None:
    images = torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 255
    seen = relight(images.clone(), torch.Generator().manual_seed(1), strength=0.0)
    torch.testing.assert_close(seen, images, rtol=0, atol=1e-3)


def test_light_is_what_the_plain_formulas_give() -> None:
    """Saturation, contrast and gain one after the other instead of as one matrix; nothing hidden or blurred."""
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 40 + 100
    generator = torch.Generator().manual_seed(5)
    gray_drawn = torch.rand(6, generator=generator)
    saturation, contrast, gain = (torch.rand(6, 1, 1, generator=generator) * 2 - 1 for _ in range(3))
    tint = 1 + (torch.rand(6, 1, 3, generator=generator) * 2 - 1) * 0.1
    soft, hidden = (torch.rand(6, generator=generator) for _ in range(2))
    plain = (gray_drawn >= 0.05) & (soft >= 0.15) & (hidden >= 0.25)
    assert plain.any()
    gray = images.mean(1, keepdim=True)
    expected = gray + (images - gray) * (1 + saturation * 0.4)[..., None]
    level = images.mean((1, 2, 3), keepdim=True)
    expected = level + (expected - level) * (1 + contrast * 0.35)[..., None]
    expected = expected * (1 + gain * 0.35)[..., None] * tint.permute(0, 2, 1)[..., None]
    seen = relight(images.clone(), torch.Generator().manual_seed(5))
    torch.testing.assert_close(seen[plain], expected.clamp(0, 255)[plain], rtol=0, atol=1e-2)


def test_imagenet_mean_becomes_zero() -> None:
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
    assert normalize(mean.expand(1, 3, 2, 2)).abs().max() < 1e-5
