"""Views of a picture: which part is seen, turned how, under which light.

What is seen (`part_of`) is fixed by numbers alone, so that a teacher's vector of a view can be kept and the student
sees the same view at another size. Light (`relight`) is drawn anew each time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Affine = NDArray[np.float32]

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255

_AREA = (0.45, 1.0)
_ASPECT = 1.25
_SLIGHT_DEGREES, _STRONG_DEGREES, _STRONG_SHARE = 12.0, 180.0, 0.1


def part_of(row: int, view: int) -> Affine:
    """Return the matrix (2, 3) that maps a view's unit square to a picture's: crop, stretch, turn and mirror."""
    rng = np.random.default_rng((row, view))
    area, aspect = rng.uniform(*_AREA), _ASPECT ** rng.uniform(-1, 1)
    width, height = min(1.1, math.sqrt(area * aspect)), min(1.1, math.sqrt(area / aspect))
    centre_x = 0.5 + rng.uniform(-1, 1) * max(0.0, 1 - width) / 2
    centre_y = 0.5 + rng.uniform(-1, 1) * max(0.0, 1 - height) / 2
    limit = _STRONG_DEGREES if rng.random() < _STRONG_SHARE else _SLIGHT_DEGREES
    angle = math.radians(rng.uniform(-limit, limit))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    linear = np.array([[cos * width * mirror, -sin * height], [sin * width * mirror, cos * height]])
    shift = np.array([centre_x, centre_y]) - linear @ np.array([0.5, 0.5])
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


def cut(pixels_rgb: NDArray[np.uint8], part: Affine, side: int) -> NDArray[np.uint8]:
    """Return a view of a picture (S, S, 3) as pixels (side, side, 3); beyond the picture its edge is mirrored."""
    size = pixels_rgb.shape[0]
    matrix = part.copy()
    matrix[:, :2] *= size / side
    # From pixel centres to pixel centres.
    matrix[:, 2] = part[:, 2] * size + matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels_rgb, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def normalise(images: Tensor) -> Tensor:
    """Map grey levels (N, 3, H, W) in 0..255 to what the networks eat: ImageNet's mean 0 and deviation 1."""
    return (images - MEAN) / STD


def as_input(pixels_rgb: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return pictures (S, S, 3) as what the networks eat: (N, 3, S, S), channels last in memory."""
    images = torch.from_numpy(np.stack(pixels_rgb)).permute(0, 3, 1, 2).float()
    return normalise(images).contiguous(memory_format=torch.channels_last)


def relight(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Change light, colour and sharpness of pictures (N, 3, H, W) in 0..255, and hide parts of some.

    Saturation, contrast and gain are linear in a pixel's colour, so that one matrix a picture does them all.
    `strength` 0 leaves pictures as they are, 1 changes them as much as shops do.
    """
    count, _, height, width = images.shape
    colours = images.permute(0, 2, 3, 1).reshape(count, -1, 3)  # no copy where channels lie last in memory

    def around_one(reach: float, channels: int = 1) -> Tensor:
        return 1 + (torch.rand(count, 1, channels, generator=generator) * 2 - 1) * reach * strength

    def some(share: float) -> Tensor:
        return torch.rand(count, generator=generator) < share * strength

    saturation = torch.where(some(0.05)[:, None, None], torch.zeros(1), around_one(0.4))
    contrast = around_one(0.35)
    gain = around_one(0.35) * around_one(0.1, 3)
    mixing = (torch.eye(3) * saturation + (1 - saturation) / 3) * contrast * gain
    level = colours.mean((1, 2), keepdim=True) * (1 - contrast) * gain
    seen = torch.baddbmm(level, colours, mixing).clamp_(0, 255).reshape(count, height, width, 3).permute(0, 3, 1, 2)
    soft = torch.nonzero(some(0.15)).flatten()
    seen[soft] = torch.nn.functional.avg_pool2d(seen[soft], 3, 1, 1, count_include_pad=False)
    return _hide(seen, some(0.25), generator)


def _hide(images: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of the chosen pictures with one colour, as hands and other products do."""
    height, width = images.shape[2:]
    drawn = torch.rand(len(images), 7, generator=generator)
    for index in torch.nonzero(chosen).flatten().tolist():
        high, wide = (drawn[index, :2] * 0.4 + 0.1).tolist()
        top, left = (drawn[index, 2:4] * (1 - torch.tensor([high, wide]))).tolist()
        rows = slice(int(top * height), int((top + high) * height))
        columns = slice(int(left * width), int((left + wide) * width))
        images[index, :, rows, columns] = drawn[index, 4:7, None, None] * 255
    return images
