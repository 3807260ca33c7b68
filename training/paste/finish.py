"""Effects of a camera on a scene: light, color, blur and noise."""

from __future__ import annotations

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from ..render.camera import jpeg, motion
from .masks import Plane


def camera(rng: np.random.Generator, pixels_rgb: Plane) -> Pixels:
    """Take the image of a scene (H, W, 3) float32 RGB 0..255; sizes stay, so boxes do.

    Uneven light, white balance, exposure, blur (out of focus or moved), noise, JPEG at quality 45 to 95.
    """
    height, width = pixels_rgb.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    slope = rng.normal(0, 0.1, 2)
    light = 1 + slope[0] * x + slope[1] * y - rng.uniform(0, 0.15) * (x * x + y * y)
    balance = rng.normal(1, 0.05, 3) * rng.uniform(0.65, 1.15)
    image = np.clip(pixels_rgb * (light[..., None] * balance).astype(np.float32) / 255, 0, 1)
    image = 255 * cv2.pow(image, float(rng.uniform(0.8, 1.25)))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
    elif rng.random() < 0.2:
        image = cv2.filter2D(image, -1, motion(int(rng.integers(3, 9)), rng.uniform(0, np.pi)))
    image += np.float32(rng.uniform(0.5, 7)) * rng.standard_normal(image.shape, np.float32)
    return jpeg(np.clip(image, 0, 255).astype(np.uint8), int(rng.integers(45, 96)))
