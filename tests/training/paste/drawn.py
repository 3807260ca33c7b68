"""Photos of one thing on a board, drawn so that its mask is known; and a shared folder of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def board(height: int = 168, width: int = 224) -> NDArray[np.float32]:
    """Return a board (height, width, 3), brighter toward one corner, slightly yellow."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    light: NDArray[np.float32] = (190 + 30 * x - 15 * y * y).astype(np.float32)
    return light[..., None] * np.array([1.0, 0.98, 0.92], np.float32)


def bottle(center: tuple[float, float] = (112, 84), turn_deg: float = 30, size: tuple[int, int] = (50, 110)) -> Pixels:
    """Return the mask (168, 224) of a turned rectangle with round corners."""
    corners = cv2.boxPoints((center, size, turn_deg)).astype(np.int32)
    mask = cv2.fillConvexPoly(np.zeros((168, 224), np.uint8), corners, 1)
    rounded: Pixels = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    return rounded


def photo(mask: Pixels, color: tuple[int, int, int] = (60, 110, 70), shadow: float = 0.35, seed: int = 0) -> Pixels:
    """Return a photo (168, 224, 3) of a striped thing with this mask, its soft shadow beside it, with noise."""
    shade = cv2.GaussianBlur(np.roll(mask, (10, 14), (0, 1)).astype(np.float32), (0, 0), 9)
    image = board() * (1 - shadow * shade[..., None])
    stripes = 1 + 0.25 * np.sign(np.sin(np.arange(224) / 5))[None, :, None]
    inside = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
    image = (1 - inside) * image + inside * np.array(color) * stripes
    noise = np.random.default_rng(seed).normal(0, 1.5, image.shape)
    noisy: Pixels = np.clip(image + noise, 0, 255).astype(np.uint8)
    return noisy


def write_rgb(path: Path, pixels_rgb: Pixels) -> None:
    """Write a JPEG and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels_rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def write_shared(folder: Path) -> Path:
    """Write a little of what lies beside the project: photos on a board and of a shop, a package, surfaces."""
    data, rng = folder / "data", np.random.default_rng(0)
    for number in range(8):
        where = (112.0, 84.0) if number % 2 else (112.0, 140.0)  # the even ones are cut off below
        mask = bottle(where, turn_deg=20.0 * number, size=(45, 90))
        write_rgb(data / f"trashnet/metal/metal{number}.jpg", photo(mask, (60, 20 * number, 90), seed=number))
    package = np.full((128, 128, 3), 255, np.uint8)
    cv2.rectangle(package, (40, 20), (90, 110), (200, 40, 40), -1)
    write_rgb(data / "grocery/images/iconic/Packages/Juice/Juice_Iconic.jpg", package)
    for number in range(2):
        write_rgb(data / f"textures/00{number}_wood.jpg", rng.integers(90, 140, (128, 128, 3), np.uint8))
        shop = rng.integers(0, 255, (128, 96, 3), np.uint8)
        write_rgb(data / f"grocery/images/train/Fruit/Lime/Lime_00{number}.jpg", shop)
    return folder
