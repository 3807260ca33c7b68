"""A canvas that cut-outs are laid on: pose, shadow, light, and who hides whom."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from ..render.sprite import shared
from .cutouts import BOARD, Cutout
from .masks import Plane

SHARPEST = 2.4
"""Largest magnification of a cut-out."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Place of a cut-out.

    Attributes:
        x, y: its center, or its foot where it stands; pixels of the canvas.
        size: its longer side in pixels; smaller where the cut-out is too coarse for that.
        turn_deg: counter-clockwise.
        tilt: how far a corner moves at most, as a share of the size: perspective.
        stands: it stands on the surface rather than lies on it.
    """

    x: float
    y: float
    size: float
    turn_deg: float
    tilt: float
    stands: bool = False


@dataclass(slots=True)
class Canvas:
    """A scene in the making.

    Attributes:
        pixels: (H, W, 3) float32 RGB, 0..255.
        owner: (H, W) int16, the number of the object that is seen, -1 for the background.
        areas: how many pixels each object would show if nothing hid it and the canvas had no end.
        light: (x, y) where shadows fall, in shares of an object's size.
        depth: how dark shadows are, 0..1.
    """

    pixels: Plane
    owner: NDArray[np.int16]
    areas: list[int]
    light: tuple[float, float]
    depth: float

    @classmethod
    def of(cls, background_rgb: Pixels, rng: np.random.Generator) -> Canvas:
        """Start with a background (H, W, 3) uint8 RGB."""
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.1)
        light = (float(reach * np.cos(angle)), float(reach * np.sin(angle)))
        owner = np.full(background_rgb.shape[:2], -1, np.int16)
        return cls(background_rgb.astype(np.float32), owner, [], light, float(rng.uniform(0.15, 0.6)))

    def warp(self, matrix: NDArray[np.float64]) -> None:
        """Move everything by a perspective (3, 3); what comes in from outside is mirrored and belongs to nothing."""
        size, scale = self.owner.shape[::-1], abs(float(np.linalg.det(matrix[:2, :2])))
        self.pixels = np.asarray(
            cv2.warpPerspective(self.pixels, matrix, size, borderMode=cv2.BORDER_REFLECT), np.float32
        )
        self.owner = np.asarray(
            cv2.warpPerspective(
                self.owner, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=-1
            ),
            np.int16,
        )
        self.areas = [round(area * scale) for area in self.areas]

    def visible_boxes(self, least: float) -> NDArray[np.float32]:
        """Return what is seen of each object as boxes (N, 4) xyxy, without those of which less than `least` is seen."""
        boxes = []
        for number, area in enumerate(self.areas):
            rows, columns = np.nonzero(self.owner == number)
            if len(rows) >= max(1.0, least * area):
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        return np.array(boxes, np.float32).reshape(-1, 4)


def place(rng: np.random.Generator, canvas: Canvas, cutout: Cutout, pose: Pose) -> None:
    """Lay a cut-out on what the canvas holds so far, with its shadow."""
    pixels, alpha, clear, (left, top) = _posed(rng, cutout, pose)
    canvas.areas.append(int((alpha > 0.5).sum()))
    number = len(canvas.areas) - 1
    _cast_shadow(rng, canvas, alpha, left, top, pose)
    region = shared(canvas.owner.shape, alpha.shape, left, top)
    if region is None:
        return
    here, there = region
    behind, opacity, through = canvas.pixels[here], alpha[there][..., None], clear[there][..., None]
    own = pixels[there] * _gain(rng, behind)
    seen = through * behind * pixels[there] / BOARD + (1 - through) * own
    canvas.pixels[here] = opacity * seen + (1 - opacity) * behind
    canvas.owner[here][alpha[there] > 0.5] = number


def _posed(rng: np.random.Generator, cutout: Cutout, pose: Pose) -> tuple[Plane, Plane, Plane, tuple[int, int]]:
    """Return pixels (h, w, 3), alpha and clear (h, w), float32, warped, and where the upper left corner goes."""
    height, width = cutout.alpha.shape
    scale = min(pose.size / max(height, width), SHARPEST)
    angle = np.deg2rad(pose.turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # rows, as y points down
    corners = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5) * (width, height) * scale @ turn
    corners += rng.uniform(-pose.tilt, pose.tilt, (4, 2)) * scale * min(height, width)
    low = np.floor(corners.min(axis=0)).astype(int) - 1
    columns, rows = (np.ceil(corners.max(axis=0)).astype(int) + 1 - low).tolist()
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, (corners - low - 0.5).astype(np.float32))
    # Before shrinking, smooth: sampling alone would leave jagged edges.
    sigma = 0.4 * max(1 / scale - 1, 0)
    layers = [cutout.pixels_rgb.astype(np.float32), cutout.alpha, cutout.clear]
    edges = [cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE]
    warped = [
        cv2.warpPerspective(
            cv2.GaussianBlur(layer, (0, 0), sigma) if sigma > 0.1 else layer,
            matrix,
            (columns, rows),
            flags=cv2.INTER_LINEAR,
            borderMode=edge,
        )
        for layer, edge in zip(layers, edges, strict=True)
    ]
    foot = int(np.flatnonzero((warped[1] > 0.5).any(axis=1)).max(initial=0)) if pose.stands else -low[1]
    return warped[0], warped[1], warped[2], (round(pose.x) + int(low[0]), round(pose.y) - int(foot))


def _cast_shadow(rng: np.random.Generator, canvas: Canvas, alpha: Plane, left: int, top: int, pose: Pose) -> None:
    """Darken the canvas: a wide, faint shadow away from the light and a narrow one where the object touches."""
    size = max(alpha.shape)
    shape = alpha.copy()
    if pose.stands:
        shape[: int(0.75 * alpha.shape[0])] = 0  # what stands throws its shadow from its foot
    for shift, blur, depth in ((1.0, 0.07, canvas.depth), (0.15, 0.015, 0.7 * canvas.depth)):
        x, y = (round(at + shift * size * away) for at, away in zip((left, top), canvas.light, strict=True))
        sigma = max(blur * size, 1.0)
        margin = round(3 * sigma)
        shadow = cv2.copyMakeBorder(shape, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
        shadow = cv2.GaussianBlur(shadow, (0, 0), sigma)
        region = shared(canvas.owner.shape, shadow.shape, x - margin, y - margin)
        if region is not None:
            here, there = region
            canvas.pixels[here] *= 1 - np.float32(depth * rng.uniform(0.8, 1.0)) * shadow[there][..., None]


def _gain(rng: np.random.Generator, behind: Plane) -> Plane:
    """Return the factors (3,) that bring a cut-out some way toward the light of the place where it lies."""
    around = behind.reshape(-1, 3).mean(axis=0)
    level = around.mean()
    cast = (around / max(level, 1.0)) ** rng.uniform(0.05, 0.3)
    return (cast * np.clip(0.75 + 0.3 * level / 128, 0.75, 1.1) * rng.uniform(0.85, 1.1)).astype(np.float32)
