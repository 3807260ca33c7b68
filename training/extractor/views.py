"""Views of an image: which part is seen, turned how, under which light.

What is seen (`part_of`) is fixed by numbers alone, so that a teacher's vector of a view can be kept and the student
sees the same view at another size. Light (`relight`) is drawn each time.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Affine = NDArray[np.float32]

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255

_AREA = (0.45, 1.0)
_ASPECT = 1.25
_SLIGHT_DEGREES, _STRONG_DEGREES, _STRONG_SHARE = 12.0, 180.0, 0.1


def part_of(row: int, view: int) -> Affine:
    """Return the part that a view shows: see `draw_parts`."""
    return draw_parts(np.random.default_rng((row, view)), 1)[0]


def draw_parts(rng: np.random.Generator, count: int) -> Affine:
    """Return matrices (N, 2, 3) that map a view's unit square to an image's: crop, stretch, turn and mirror."""
    area, aspect = rng.uniform(*_AREA, count), _ASPECT ** rng.uniform(-1, 1, count)
    width, height = np.minimum(1.1, np.sqrt(area * aspect)), np.minimum(1.1, np.sqrt(area / aspect))
    center_x = 0.5 + rng.uniform(-1, 1, count) * np.maximum(0.0, 1 - width) / 2
    center_y = 0.5 + rng.uniform(-1, 1, count) * np.maximum(0.0, 1 - height) / 2
    limit = np.where(rng.random(count) < _STRONG_SHARE, _STRONG_DEGREES, _SLIGHT_DEGREES)
    angle = np.radians(rng.uniform(-1, 1, count) * limit)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.stack([cos * width * mirror, -sin * height, sin * width * mirror, cos * height], 1).reshape(-1, 2, 2)
    shift = np.stack([center_x, center_y], 1) - linear.sum(2) / 2
    return np.concatenate([linear, shift[:, :, None]], axis=2).astype(np.float32)


def cut(pixels_rgb: NDArray[np.uint8], part: Affine, side: int) -> NDArray[np.uint8]:
    """Return a view of an image (S, S, 3) as pixels (side, side, 3); beyond the image its edge is mirrored."""
    size = pixels_rgb.shape[0]
    matrix = part.copy()
    matrix[:, :2] *= size / side
    # From pixel centers to pixel centers.
    matrix[:, 2] = part[:, 2] * size + matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels_rgb, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def cut_all(images: Tensor, parts: Tensor, side: int) -> Tensor:
    """Return views (N, 3, side, side) of images (N, 3, S, S) by matrices (N, 2, 3), on the device where they are.

    As `cut` does it; where the image ends its edge is mirrored with its last pixel, though, and there is no rounding.
    """
    linear, shift = parts[:, :, :2], parts[:, :, 2:]
    # PyTorch speaks of -1..1 where a part speaks of 0..1.
    around = torch.cat([linear, linear.sum(2, keepdim=True) + 2 * shift - 1], 2)
    grid = functional.affine_grid(around, [len(images), 3, side, side], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def normalize(images: Tensor) -> Tensor:
    """Map gray levels (N, 3, H, W) in 0..255 to what the networks eat: ImageNet's mean 0 and deviation 1."""
    return (images - MEAN.to(images.device)) / STD.to(images.device)


def as_input(pixels_rgb: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return images (S, S, 3) as what the networks eat: (N, 3, S, S), channels last in memory."""
    images = torch.from_numpy(np.stack(pixels_rgb)).permute(0, 3, 1, 2).float()
    return normalize(images).contiguous(memory_format=torch.channels_last)


def in_new_light(images: Tensor, seed: tuple[int, int, int], strength: float = 1.0) -> Tensor:
    """Return images (N, 3, H, W) in 0..255, relit, as what the networks eat.

    Args:
        images: see there.
        seed: a run's, a step and a process, which decide the light.
        strength: see `relight`.
    """
    run, step, rank = seed
    generator = torch.Generator(images.device).manual_seed((run * 1_000_003 + step) * 64 + rank)
    return normalize(relight(images, generator, strength)).contiguous(memory_format=torch.channels_last)


def relight(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Change light, color and sharpness of images (N, 3, H, W) in 0..255, and hide parts of some.

    Saturation, contrast and gain are linear in a pixel's color, so that one matrix an image does them all.
    `strength` 0 leaves images as they are, 1 changes them as much as shops do. `generator` is of their device.
    """
    count, _, height, width = images.shape
    device = images.device
    colors = images.permute(0, 2, 3, 1).reshape(count, -1, 3)  # no copy where channels lie last in memory

    def around_one(reach: float, channels: int = 1) -> Tensor:
        drawn = torch.rand(count, 1, channels, generator=generator, device=device)
        return 1 + (drawn * 2 - 1) * reach * strength

    def some(share: float) -> Tensor:
        return torch.rand(count, generator=generator, device=device) < share * strength

    saturation = torch.where(some(0.05)[:, None, None], 0.0, around_one(0.4))
    contrast = around_one(0.35)
    gain = around_one(0.35) * around_one(0.1, 3)
    mixing = (torch.eye(3, device=device) * saturation + (1 - saturation) / 3) * contrast * gain
    level = colors.mean((1, 2), keepdim=True) * (1 - contrast) * gain
    seen = torch.baddbmm(level, colors, mixing).clamp_(0, 255).reshape(count, height, width, 3).permute(0, 3, 1, 2)
    soft = torch.nonzero(some(0.15)).flatten()
    seen[soft] = functional.avg_pool2d(seen[soft], 3, 1, 1, count_include_pad=False)
    return _hide(seen, torch.nonzero(some(0.25)).flatten(), generator)


def _hide(images: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of the chosen images with one color, as hands and other products do."""
    drawn = torch.rand(len(images), 7, generator=generator, device=images.device)[chosen]
    inside = draw_boxes(drawn[:, :4], (0.1, 0.5), images.shape[2:])
    images[chosen] = torch.where(inside, drawn[:, 4:7, None, None] * 255, images[chosen])
    return images


def draw_boxes(drawn: Tensor, reach: tuple[float, float], size: Sequence[int]) -> Tensor:
    """Return whether a pixel is in an image's box, bool (N, 1, H, W).

    Args:
        drawn: (N, 4) in 0..1, that decide a box's height, width, top and left.
        reach: its least and greatest height and width, of the image's.
        size: H and W.
    """
    spans = drawn[:, :2] * (reach[1] - reach[0]) + reach[0]
    starts = drawn[:, 2:4] * (1 - spans)
    inside = []
    for axis, length in enumerate(size):
        places = (torch.arange(length, device=drawn.device) + 0.5) / length
        start, span = starts[:, axis, None], spans[:, axis, None]
        inside.append((places >= start) & (places < start + span))
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
