"""A picture under construction that remembers which product each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from .sprite import Sprite, lay, shared

ENOUGH_SEEN = 0.3
"""Share of a product that must be seen for a box."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn photo and what is to be found in it.

    image_rgb: uint8 (H, W, 3). boxes_xyxy: float32 (N, 4) px, the visible extent of each product, right and lower edge
    exclusive. identities: their N seeds.
    """

    image_rgb: Pixels
    boxes_xyxy: NDArray[np.float32]
    identities: tuple[int, ...]


class Stage:
    """Takes sprites from back to front and knows in the end what is seen of each product."""

    def __init__(self, backdrop: Pixels) -> None:
        self.canvas = backdrop
        self.owner: NDArray[np.int16] = np.full(backdrop.shape[:2], -1, np.int16)
        self.placed: list[tuple[int, float]] = []

    def put(self, seed: int | None, sprite: Sprite, x: int, y: int) -> None:
        """Lay a sprite over the picture: a product with its seed, or something else (None)."""
        lay(self.canvas, sprite, x, y)
        number = -1
        if seed is not None:
            number = len(self.placed)
            self.placed.append((seed, float((sprite.mask > 127).sum())))
        if windows := shared(self.owner.shape, sprite.mask.shape, x, y):
            here, there = windows
            self.owner[here][sprite.mask[there] > 127] = number

    def tilt(self, angle: float) -> None:
        """Turn the whole picture by an angle in radians, and enlarge it so that no corner is empty."""
        height, width = self.owner.shape
        c, s = np.cos(angle), abs(np.sin(angle))
        zoom = float(max(c + s * height / width, c + s * width / height))
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(angle)), zoom)
        self.canvas = cv2.warpAffine(self.canvas, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        self.owner = cv2.warpAffine(
            self.owner, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=-1
        )
        self.placed = [(seed, area * zoom**2) for seed, area in self.placed]

    def scene(self, image_rgb: Pixels) -> Scene:
        """Return the scene with a developed picture: boxes of all products of which enough is seen."""
        boxes: list[tuple[int, int, int, int]] = []
        seeds: list[int] = []
        for number, (seed, area) in enumerate(self.placed):
            rows, columns = (self.owner == number).nonzero()
            if len(rows) >= max(64.0, ENOUGH_SEEN * area):
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
                seeds.append(seed)
        return Scene(image_rgb, np.array(boxes, np.float32).reshape(-1, 4), tuple(seeds))
