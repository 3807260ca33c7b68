"""Photos → one training image: crop or expansion, turns, mosaic in a single warp a photo; color, blur, noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .photos import Boxes, Photo

_VISIBLE = 0.3
_SMALLEST_SIDE = 4.0
_TRIES = 5
_ZOOM = (0.45, 1.6)
"""Sides of the window through which a photo is seen, in those of the photo."""
_FAR_ZOOM, _FAR = (1.6, 3.5), 0.15
"""Now and then a photo is seen from far away."""
_CELL_ZOOM, _CELLS = (0.8, 1.6), 9
"""Of that many photos and more in one image none is seen from near."""
_SMALLEST_THING = 12.0
"""Pixels: a photo's typical thing becomes no smaller."""
_STRETCH = 0.4
"""Logarithm of what a side is stretched by, the other shrunk: a 16 : 9 photo made square is as if it were 0.29."""

DecodedImage = tuple[NDArray[np.uint8], Boxes]
"""Pixels (H, W, 3) uint8 RGB, boxes (M, 4) in its pixels."""


def augment(photos: Sequence[Photo], shape: tuple[int, int], random: np.random.Generator) -> DecodedImage:
    """Make an image of a shape (H, W) out of one photo, two side by side, or 4, 9 or 16 in a square.

    Things of which less than a third remains visible lose their box. As in PP-ShiTu the image's sides are stretched
    to the shape.
    """
    height, width = shape
    canvas = np.empty((height, width, 3), np.uint8)
    boxes = []
    for photo, (x1, y1, x2, y2) in zip(photos, _tiles(len(photos), height, width, random), strict=True):
        pixels, found = _view(photo, x2 - x1, y2 - y1, _zoom(len(photos), random), random)
        canvas[y1:y2, x1:x2] = pixels
        boxes.append(found + np.array([x1, y1, x1, y1], np.float32))
    return _degrade(_recolor(canvas, random), random), np.concatenate(boxes)


def _tiles(count: int, height: int, width: int, random: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Return x1, y1, x2, y2 of each photo's place."""
    columns = rows = math.isqrt(count)
    if count == 2:
        rows, columns = (1, 2) if random.random() < 0.5 else (2, 1)
    x, y = (_cuts(parts, length, random) for parts, length in ((columns, width), (rows, height)))
    return [(x1, y1, x2, y2) for y1, y2 in itertools.pairwise(y) for x1, x2 in itertools.pairwise(x)]


def _cuts(parts: int, length: int, random: np.random.Generator) -> list[int]:
    """Cut a length into parts that differ a little; return where they begin and end."""
    inner = (np.arange(1, parts) + random.uniform(-0.3, 0.3, parts - 1)) * length / parts
    return [0, *inner.astype(int).tolist(), length]


def _zoom(count: int, random: np.random.Generator) -> tuple[float, float]:
    """Return the least and the greatest size of the window, in sides of the photo, for one of `count` photos."""
    if count >= _CELLS:
        return _CELL_ZOOM
    return _FAR_ZOOM if random.random() < _FAR else _ZOOM


def _view(
    photo: Photo, width: int, height: int, zoom: tuple[float, float], random: np.random.Generator
) -> DecodedImage:
    """Look at a photo through a window that shows at least one of its things."""
    for _ in range(_TRIES):
        matrix = _window(photo, width, height, zoom, random)
        boxes = _moved(photo.boxes_xyxy, matrix, width, height)
        if len(boxes) or not len(photo.boxes_xyxy):
            break
    color = random.integers(0, 256, 3).tolist()
    pixels = photo.pixels_rgb
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.5:  # bilinear sampling alone would skip pixels
        pixels = np.asarray(cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix @ np.diag(
            [photo.pixels_rgb.shape[1] / pixels.shape[1], photo.pixels_rgb.shape[0] / pixels.shape[0], 1]
        )
    warped = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=color)
    return np.asarray(warped, np.uint8), boxes


def _window(
    photo: Photo, width: int, height: int, zoom: tuple[float, float], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return the matrix (2, 3) from a photo's pixels to the view's: part or surroundings of it, turned, mirrored."""
    sides = np.array(photo.pixels_rgb.shape[1::-1], np.float64)
    window = sides.copy()
    if random.random() < 0.8:
        stretch = np.exp(random.uniform(-_STRETCH, _STRETCH) * np.array([1, -1]))
        window *= np.exp(random.uniform(*np.log(zoom))) * stretch
    window *= min(1.0, _largest(photo, width, height) / np.sqrt((window / sides).prod()))
    center = sides / 2 + (sides - window) / 2 * random.uniform(-1, 1, 2)
    quarter = random.choice(4, p=[0.7, 0.12, 0.06, 0.12])
    angle = np.pi / 2 * quarter
    turn = np.rint([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if random.random() < 0.5:
        turn[0] *= -1
    if random.random() < 0.3:
        slight = np.deg2rad(random.uniform(-8, 8))
        turn = np.array([[np.cos(slight), -np.sin(slight)], [np.sin(slight), np.cos(slight)]]) @ turn
    seen = window[::-1] if quarter % 2 else window
    linear = np.diag([width, height] / seen) @ turn
    shift = np.array([width, height]) / 2 - linear @ center
    return np.concatenate([linear, shift[:, None]], axis=1)


def _largest(photo: Photo, width: int, height: int) -> float:
    """Return how large a window may be, in sides of the photo, so that its typical thing is seen in enough pixels."""
    if not len(photo.boxes_xyxy):
        return np.inf
    areas = (photo.boxes_xyxy[:, 2:] - photo.boxes_xyxy[:, :2]).prod(axis=1)
    pixels = photo.pixels_rgb.shape[0] * photo.pixels_rgb.shape[1]
    return float(np.sqrt(np.median(areas) * width * height / pixels)) / _SMALLEST_THING


def _moved(boxes: Boxes, matrix: NDArray[np.float64], width: int, height: int) -> Boxes:
    """Return the boxes after the warp, clipped; those of too little that is visible are left out.

    After a slight rotation a thing's new box lies between that of the ellipse and that of the rectangle in its old one:
    the mean of both is taken. Without one they are the same.
    """
    linear = matrix[:, :2]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear.T + matrix[:, 2]
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2
    halves = (halves @ np.abs(linear).T + np.sqrt(halves**2 @ linear.T**2)) / 2
    whole = np.concatenate([centers - halves, centers + halves], axis=1)
    clipped = whole.clip(0, [width, height, width, height])
    sides = clipped[:, 2:] - clipped[:, :2]
    visible = sides.prod(axis=1) >= _VISIBLE * np.prod(2 * halves, axis=1)
    return clipped[visible & (sides.min(axis=1, initial=np.inf) >= _SMALLEST_SIDE)].astype(np.float32)


def _recolor(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and color cast by one matrix."""
    if random.random() < 0.2:
        return pixels
    saturation = random.uniform(0.3, 1.5) if random.random() < 0.9 else 0.0
    gray = np.full((3, 3), 1 / 3)
    mix = saturation * np.eye(3) + (1 - saturation) * gray
    contrast, brightness = random.uniform(0.6, 1.4), random.uniform(-35, 35)
    gains = contrast * random.uniform(0.88, 1.12, 3)
    offset = 128 * (1 - contrast) + brightness
    matrix = np.concatenate([gains[:, None] * mix, np.full((3, 1), offset)], axis=1)
    return np.asarray(cv2.transform(pixels, matrix), np.uint8)


def _degrade(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, seldom; add a camera's noise, seldom."""
    kind = random.random()
    if kind < 0.1:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.5, 1.6)), np.uint8)
    if kind < 0.2:
        noise = random.standard_normal(pixels.shape, np.float32) * np.float32(random.uniform(2, 10))
        return np.asarray((pixels + noise).clip(0, 255), np.uint8)
    return pixels
