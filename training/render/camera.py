"""Effects of a camera on an image: white balance, exposure, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels


def photographed(rng: np.random.Generator, image: Pixels, strength: float = 1.0) -> Pixels:
    """Return an RGB picture as a camera of moderate quality took it; strength 0 changes nothing, 1 is a wide range."""
    image = developed(rng, image, strength)
    image = _blurred(rng, image, strength)
    sigma = float(rng.gamma(1.2, 2.5)) * strength
    if sigma > 0.5:
        noise = np.empty((*image.shape[:2], 3), np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, 0, sigma)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.75 * strength:
        image = jpeg(image, int(rng.integers(35, 96)))
    return image


def developed(rng: np.random.Generator, image: Pixels, strength: float) -> Pixels:
    """Change white balance, exposure, contrast and saturation, and light one side more than the other."""
    warmth, tint = rng.normal(0, 0.09, 2) * strength
    gains = np.array([1 + warmth, 1 + 0.4 * tint, 1 - warmth], np.float32)
    gains *= float(np.clip(1 + rng.normal(0, 0.17) * strength, 0.5, 1.5))
    gamma = float(np.exp(rng.normal(0, 0.16) * strength))
    ramp = (np.arange(256, dtype=np.float32) / 255) ** gamma
    table = np.clip(255 * ramp[:, None] * gains[None], 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[None])
    if rng.random() < 0.5 * strength:
        gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = float(rng.uniform(0.7, 1.2))
        image = cv2.addWeighted(image, share, gray, 1 - share, float(rng.uniform(-12, 22)))
    if rng.random() < 0.5 * strength:
        corners = np.clip(rng.normal(1, 0.2, (2, 2)), 0.5, 1.3).astype(np.float32)
        shade = cv2.resize(corners, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        image = cv2.multiply(image, cv2.merge([shade] * 3), dtype=cv2.CV_8U)
    return image


def _blurred(rng: np.random.Generator, image: Pixels, strength: float) -> Pixels:
    pick = float(rng.random())
    coarse = min(1.0, max(image.shape[:2]) / 180)  # a small crop shows less of its photo's blur
    if pick < 0.35 * strength:
        image = cv2.GaussianBlur(image, (0, 0), 0.3 + coarse * float(rng.uniform(0.1, 1.0)))
    elif pick < 0.48 * strength:
        length = 2 + round(coarse * float(rng.uniform(1, 5)))
        image = cv2.filter2D(image, -1, motion(length, float(rng.uniform(0, np.pi))))
    return image


def motion(length: int, angle: float) -> NDArray[np.float32]:
    """Return the kernel of a short straight movement."""
    kernel = np.zeros((length, length), np.float32)
    center = (length - 1) / 2
    reach = center * np.array([np.cos(angle), np.sin(angle)])
    start, end = np.rint(center - reach).astype(int), np.rint(center + reach).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return kernel / kernel.sum()


def jpeg(image: Pixels, quality: int) -> Pixels:
    """Return an RGB picture after JPEG compression."""
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
