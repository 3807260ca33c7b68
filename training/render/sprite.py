"""A product seen from somewhere: what it paints, and what shines through it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Light:
    """Direction and kind of light; angles in radians, as the camera sees them (azimuth to the right, elevation up)."""

    azimuth: float
    elevation: float
    ambient: float
    direct: float
    highlights: tuple[tuple[float, float, float], ...]
    """Lamps and windows as a body mirrors them: angle, width, strength."""
    seed: int
    """Of everything smaller: what metal mirrors, how a bag is crumpled."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Light:
        """Draw a light: from soft shop light to a hard lamp at the side."""
        ambient = float(rng.uniform(0.45, 0.85))
        lamps = tuple(
            (float(rng.uniform(-1.2, 1.2)), float(rng.uniform(0.04, 0.22)), float(rng.uniform(0.2, 1.0)))
            for _ in range(int(rng.integers(1, 4)))
        )
        return cls(
            azimuth=float(rng.uniform(-1.2, 1.2)),
            elevation=float(rng.uniform(0.1, 1.1)),
            ambient=ambient,
            direct=(1.08 - ambient) * float(rng.uniform(0.8, 1.25)),
            highlights=lamps,
            seed=int(rng.integers(1 << 30)),
        )

    @property
    def direction(self) -> tuple[float, float, float]:
        """The unit vector to the light: right, up, to the camera."""
        flat = np.cos(self.elevation)
        return float(np.sin(self.azimuth) * flat), float(np.sin(self.elevation)), float(np.cos(self.azimuth) * flat)


@dataclass(frozen=True, slots=True)
class View:
    """Pose of a product toward the camera: turned about its own axis (yaw) and seen from above (pitch), radians."""

    yaw: float
    pitch: float
    light: Light


@dataclass(frozen=True, slots=True)
class Sprite:
    """A picture to lay over another: result = under × through / 255 + paint.

    paint: uint8 RGB (H, W, 3). through: uint8 (H, W, 3), 255 outside, 0 where it is opaque. mask: uint8 (H, W), 255
    where the product is, glass included.
    """

    paint: Pixels
    through: Pixels
    mask: Pixels

    def warped(self, matrix: Matrix, width: int, height: int) -> Sprite:
        """Return the sprite moved by a 3 × 3 matrix into a canvas of another size."""
        size = (width, height)
        return Sprite(
            cv2.warpPerspective(self.paint, matrix, size),
            cv2.warpPerspective(self.through, matrix, size, borderValue=(255, 255, 255)),
            cv2.warpPerspective(self.mask, matrix, size),
        )

    def cut(self, x1: int, y1: int, x2: int, y2: int) -> Sprite:
        """Return a part of the sprite."""
        return Sprite(self.paint[y1:y2, x1:x2], self.through[y1:y2, x1:x2], self.mask[y1:y2, x1:x2])


def mask_box(mask: Pixels) -> tuple[int, int, int, int] | None:
    """Return x1, y1, x2, y2 (exclusive) of what is more than half covered in a mask, or None."""
    seen = mask > 127
    rows, columns = seen.any(1).nonzero()[0], seen.any(0).nonzero()[0]
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


Window = tuple[slice, slice]


def shared(canvas: tuple[int, ...], patch: tuple[int, ...], x: int, y: int) -> tuple[Window, Window] | None:
    """Return the part that a patch at (x, y) covers, of the canvas and of the patch; None where it is off it."""
    x1, x2 = max(0, x), min(canvas[1], x + patch[1])
    y1, y2 = max(0, y), min(canvas[0], y + patch[0])
    if x1 >= x2 or y1 >= y2:
        return None
    return (slice(y1, y2), slice(x1, x2)), (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))


def lay(canvas: Pixels, sprite: Sprite, x: int, y: int) -> None:
    """Lay a sprite over an RGB canvas, its upper left corner at a point; what is outside is cut off."""
    windows = shared(canvas.shape, sprite.mask.shape, x, y)
    if windows is None:
        return
    here, there = windows
    part = Sprite(sprite.paint[there], sprite.through[there], sprite.mask[there])
    under = canvas[here]
    if part.through.max() and (part.through[part.mask > 200] > 40).any():
        # Glass and liquid turn what is behind them round and blur it.
        blurred = cv2.blur(under[:, ::-1], (7, 3))
        share = (part.mask[..., None] > 127).astype(np.uint8)
        under = under * (1 - share) + blurred * share
    canvas[here] = cv2.add(cv2.multiply(under, part.through, scale=1 / 255), part.paint)
