"""Frames of a white counter with colored squares on it, as a noisy camera sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.test_recognizer import BLUE, GREEN, RED, scene

RED_THING, GREEN_THING, BLUE_THING = (1, 1, RED), (5, 5, GREEN), (5, 1, BLUE)
"""Column, row and color; blue is not enrolled."""
Thing = tuple[int, int, tuple[int, int, int]]


class Camera:
    """Takes frames of things with a sensor's noise, a tenth of a second apart."""

    def __init__(self, seed: int = 0, sigma: float = 2.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._sigma = sigma
        self.at_s = 0.0

    def frame(self, *things: Thing, hand: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
        """Return a frame (256, 256, 3); a hand is a patch `x1, y1, x2, y2` of cells with a pattern that
        changes, too bright for the detector.
        """
        image = scene(*things).astype(np.float32)
        if hand is not None:
            x1, y1, x2, y2 = (32 * side for side in hand)
            coarse = self._rng.integers(190, 256, ((y2 - y1) // 16, (x2 - x1) // 16, 3))
            image[y1:y2, x1:x2] = np.kron(coarse, np.ones((16, 16, 1)))
        self.at_s = round(self.at_s + 0.1, 6)
        return np.clip(image + self._rng.normal(0, self._sigma, image.shape), 0, 255).astype(np.uint8)
