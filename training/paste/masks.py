"""Masks of single objects on a plain, light board."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

Plane = NDArray[np.float32]

EDGES = (3.0, 4.5, 6.5, 9.0, 13.0)
"""Slopes, in levels per pixel, at which the board may end; so may it at four times as much in CIELAB."""

CONVEX = 0.9
"""Least share of its convex hull that a single product fills."""

CLEAR = 5.0
"""Slope, in levels per pixel, of a clear step."""

GAP, PAD = 2, 4
"""Half the widest gap of an outline, and what is put around an image so that the border can be walked; pixels."""


@dataclass(frozen=True, slots=True)
class Mask:
    """An object's mask (H, W) of 0 and 1, and the board (H, W, 3) float32 RGB as it would look without the object."""

    inside: Pixels
    board_rgb: Plane


def find_object(photo_rgb: Pixels) -> Mask | None:
    """Segment the object that lies on a plain board.

    The board is what can be reached from the border over smooth ground of the board's color, lighter or in shadow: a
    shadow ends softly, an object, even a clear bottle, with a step. How small a step ends it is tried from fine to
    coarse; the outline that is most convex and clear is taken, as products are, unless much of the object went.

    Returns:
        The largest piece without its holes; None where nothing stands out.
    """
    board = _board(photo_rgb)
    step, distance = _step(photo_rgb), color_distance(photo_rgb, board)
    found = [_outlined(photo_rgb, (step > edge) | (distance > 4 * edge)) for edge in EDGES]
    finest = found[0].sum()
    clarity = [_clarity(inside, step) if inside.sum() > 0.6 * finest else 0.0 for inside in found]
    return Mask(found[int(np.argmax(clarity))], board) if finest else None


def find_on_white(image_rgb: Pixels, convex: bool) -> Mask | None:
    """Segment a catalog image, whose ground is white itself; a package, white at its edges too, by its hull."""
    ground = cv2.copyMakeBorder(image_rgb, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    inside = _largest(cv2.morphologyEx((ground.min(axis=2) < 240).astype(np.uint8), cv2.MORPH_CLOSE, _disc(5)))
    if not inside.any():
        return None
    if convex:
        cv2.fillConvexPoly(inside, cv2.convexHull(outline_of(inside)), 1)
    return Mask(inside[PAD:-PAD, PAD:-PAD], np.full(image_rgb.shape, 255, np.float32))


def fault(photo_rgb: Pixels, mask: Mask) -> str | None:
    """Say why a mask is not to be trusted; None for a good one."""
    inside = mask.inside
    share = inside.mean()
    if not 0.035 <= share <= 0.75:
        return "area"
    if len(touched_sides(inside)) > 1:
        return "border"
    if convexity(inside) < CONVEX:
        return "shape"
    step = _step(photo_rgb)
    if _clarity(inside, step) < 0.75:
        return "soft edge"
    smooth_shadow = _shadow(photo_rgb, mask.board_rgb) & (cv2.dilate(step, _disc(5)) < EDGES[0])
    if smooth_shadow[inside > 0].mean() > 0.15:
        return "shadow"
    return None


def touched_sides(inside: Pixels) -> list[int]:
    """Return which sides of the image an object touches: 0 bottom, 1 left, 2 top, 3 right."""
    edges = (inside[-1], inside[:, 0], inside[0], inside[:, -1])
    return [side for side, edge in enumerate(edges) if edge.sum() > 2]


def convexity(inside: Pixels) -> float:
    """Return the share of its convex hull that an object (H, W) fills."""
    hull = np.zeros_like(inside)
    cv2.fillConvexPoly(hull, cv2.convexHull(outline_of(inside)), 1)
    return float(inside.sum() / hull.sum())


def outline_of(inside: Pixels) -> NDArray[np.int32]:
    """Return the outermost pixels (N, 2) of an object (H, W) in one piece, as x, y."""
    return cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0][:, 0]


def color_distance(photo_rgb: Pixels, board: Plane) -> Plane:
    """Return how far each color is from the board's in CIELAB, where somewhat darker counts less: that is shadow."""
    smooth = cv2.bilateralFilter(np.ascontiguousarray(photo_rgb), 5, 20, 2).astype(np.float32)
    difference = cv2.cvtColor(smooth / 255, cv2.COLOR_RGB2LAB) - cv2.cvtColor(board / 255, cv2.COLOR_RGB2LAB)
    light, chroma = difference[..., 0], np.hypot(difference[..., 1], difference[..., 2])
    shade = np.where(light < 0, np.maximum(-light - 18, 0) + 0.35 * np.minimum(-light, 18), light)
    return np.hypot(shade, chroma)


def _outlined(photo_rgb: Pixels, stop: NDArray[np.bool_]) -> Pixels:
    """Return the mask of what the board does not reach, its outline drawn by the watershed (Meyer 1992)."""
    closed = cv2.copyMakeBorder(stop.astype(np.uint8), PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.dilate(closed, _disc(2 * GAP + 1))
    cv2.floodFill(closed, None, (0, 0), 2)
    whole = cv2.erode((closed != 2).astype(np.uint8), _disc(2 * GAP + 1))[PAD:-PAD, PAD:-PAD]
    whole = _largest(cv2.morphologyEx(whole, cv2.MORPH_OPEN, _disc(7)))
    markers = cv2.erode(whole, _disc(9)).astype(np.int32) + 2 * (cv2.dilate(whole, _disc(3)) == 0)
    if not (markers == 1).any():
        return np.zeros_like(whole)
    padded = cv2.copyMakeBorder(photo_rgb, 1, 1, 1, 1, cv2.BORDER_REPLICATE)  # watershed gives the outermost pixels up
    parts = cv2.watershed(padded, cv2.copyMakeBorder(markers, 1, 1, 1, 1, cv2.BORDER_REPLICATE))[1:-1, 1:-1]
    return _largest(cv2.morphologyEx((parts == 1).astype(np.uint8), cv2.MORPH_OPEN, _disc(5)))


def _clarity(inside: Pixels, step: Plane) -> float:
    """Return 0..1: how convex an object is, times the share of its outline in the photo that is a clear step."""
    x, y = outline_of(inside).T
    shown = (x > 0) & (y > 0) & (x < inside.shape[1] - 1) & (y < inside.shape[0] - 1)
    on_step = cv2.dilate(step, _disc(5))[y[shown], x[shown]] > CLEAR
    return float(convexity(inside) * on_step.mean()) if shown.any() else 0.0


def _board(photo_rgb: Pixels) -> Plane:
    """Fit a second-order surface to the border's colors, leaving out by turns what the surface does not explain."""
    height, width = photo_rgb.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    margin = max(2, min(height, width) // 12)
    border = np.ones((height, width), bool)
    border[margin:-margin, margin:-margin] = False
    features, colors = terms[border], photo_rgb[border].astype(np.float64)
    bright = colors.sum(axis=1)
    keep = bright >= np.percentile(bright, 40)
    for _ in range(5):
        surface = np.linalg.lstsq(features[keep], colors[keep], rcond=None)[0]
        error = np.abs(features @ surface - colors).max(axis=1)
        keep = error <= max(6.0, float(np.percentile(error, 50)))
    return np.clip(terms @ surface, 0, 255).astype(np.float32)


def _step(photo_rgb: Pixels) -> Plane:
    """Return the steepest slope (H, W) of the three channels, in levels per pixel."""
    smooth = cv2.GaussianBlur(photo_rgb, (0, 0), 1).astype(np.float32)
    return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).max(axis=2) / 8


def _shadow(photo_rgb: Pixels, board: Plane) -> NDArray[np.bool_]:
    """Return where the image (H, W) is the board darkened, its hue unchanged."""
    ratio = cv2.blur(photo_rgb, (3, 3)).astype(np.float32) / np.maximum(board, 1)
    dark = ratio.mean(axis=2)
    return (dark > 0.25) & (dark < 0.93) & (np.ptp(ratio, axis=2) < 0.1 * dark + 0.02)


def _largest(inside: Pixels) -> Pixels:
    """Return the largest piece, its holes filled."""
    outlines = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = np.zeros_like(inside)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return filled


def _disc(size: int) -> Pixels:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
