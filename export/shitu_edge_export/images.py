"""Images to measure on and to calibrate with, and their boxes where they are known (YOLO text)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shitu_edge.inputs.folders import list_images
from shitu_edge.inputs.skipped import summary
from shitu_edge.stages.decode import decode
from shitu_edge.system.files import read_bounded

from .errors import ExportError

T = TypeVar("T")

_MAX_BYTES = 1 << 20
_SYNTHETIC_SIDES = ((480, 640), (720, 540), (600, 600), (1080, 1920))


@dataclass(frozen=True, slots=True)
class Sample:
    """An image: where it is from, its pixels (H, W, 3) uint8 RGB, and its boxes (N, 4) xyxy in pixels where known."""

    name: str
    pixels_rgb: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float32] | None = None


def image_files(folders: Sequence[Path]) -> list[Path]:
    """Return the images below some folders, at any depth, sorted.

    Raises:
        ExportError: one of them is not a folder, or holds no image.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ExportError(f"{folder}: no such folder of images")
        below = list_images(folder)
        if not below.images:
            raise ExportError("; ".join([f"{folder}: holds no images", *summary(below.skipped)]))
        found += below.images
    return found


def spread(things: Sequence[T], count: int) -> list[T]:
    """Return `count` of the things, evenly spread over them; all when they are fewer."""
    if len(things) <= count:
        return list(things)
    return [things[position * len(things) // count] for position in range(count)]


def load_sample(path: Path, enough_side: int | None = None) -> Sample:
    """Decode an image and read its boxes, if it has a label file; large JPEGs at reduced scale (see `decode`).

    Raises:
        ImageError: it cannot be decoded.
        ExportError: its label file is not YOLO text.
    """
    pixels_rgb = decode(path, enough_side=enough_side).pixels_rgb
    height, width = pixels_rgb.shape[:2]
    return Sample(str(path), pixels_rgb, _read_boxes(path, width, height))


def synthetic_samples(count: int, seed: int = 0) -> list[Sample]:
    """Draw images of colored boxes on a gradient, for lack of real ones."""
    generator = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        height, width = _SYNTHETIC_SIDES[number % len(_SYNTHETIC_SIDES)]
        slope = np.linspace(60, 220, width) + np.linspace(-40, 40, height)[:, None]
        pixels = np.repeat(slope[:, :, None], 3, axis=2) + generator.normal(0, 12, (height, width, 3))
        for _ in range(6):
            top, left = generator.integers(0, height - 40), generator.integers(0, width - 40)
            bottom, right = top + generator.integers(30, height // 2), left + generator.integers(30, width // 2)
            pixels[top:bottom, left:right] += generator.uniform(-120, 120, 3)
        samples.append(Sample(f"synthetic {number}", np.clip(pixels, 0, 255).astype(np.uint8)))
    return samples


def _read_boxes(image: Path, width: int, height: int) -> NDArray[np.float32] | None:
    """Read `labels/NAME.txt` next to `images/NAME.jpg`; None without one."""
    parts = list(image.parts)
    if "images" not in parts:
        return None
    position = len(parts) - 1 - parts[::-1].index("images")
    path = Path(*parts[:position], "labels", *parts[position + 1 :]).with_suffix(".txt")
    return read_yolo(path) * np.array([width, height, width, height], np.float32) if path.is_file() else None


def read_yolo(path: Path) -> NDArray[np.float32]:
    """Return the boxes (N, 4) xyxy of a label file, relative to the sides, of lines `class cx cy w h`.

    Raises:
        ExportError: it cannot be read, or has other lines.
    """
    try:
        lines = [line.split() for line in read_bounded(path, _MAX_BYTES).decode().splitlines() if line.strip()]
        rows = np.array([_box(line) for line in lines], np.float32).reshape(-1, 4)
    except ValueError as error:
        raise ExportError(f"{path}: expected lines of `class cx cy w h`") from error
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from error
    return np.concatenate([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2], axis=1)


def _box(line: Sequence[str]) -> list[float]:
    numbers = [float(value) for value in line[1:5]]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise ValueError("not four numbers")
    return numbers
