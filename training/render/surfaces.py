"""Backgrounds: photos of surfaces from a folder, drawn surfaces, and the clutter of a shop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from .colors import Color, from_hsv

Floats = NDArray[np.float32]
Surfaces = Sequence[Pixels]


def load_surfaces(folder: Path) -> list[Pixels]:
    """Read the photos of surfaces in a folder (JPEG, PNG), in order of their names.

    Returns uint8 RGB arrays. Raises FileNotFoundError where the folder has no picture.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths]
    found = [cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures if picture is not None]
    if not found:
        raise FileNotFoundError(f"expected JPEG or PNG pictures of surfaces in {folder}, found none")
    return found


def surface(rng: np.random.Generator, height: int, width: int, surfaces: Surfaces | None) -> Pixels:
    """Return a flat surface, uint8 RGB (height, width, 3): a part of a photo, or a drawn one."""
    if surfaces and rng.random() < 0.65:
        return _part(rng, surfaces[int(rng.integers(len(surfaces)))], height, width)
    return _drawn(rng, height, width)


def backdrop(rng: np.random.Generator, height: int, width: int, surfaces: Surfaces | None) -> Pixels:
    """Return what may stand behind a product: a surface, a counter before a wall, or a blurred shelf."""
    pick = float(rng.random())
    if pick < 0.45:
        return surface(rng, height, width, surfaces)
    if pick < 0.7:
        return counter(rng, height, width, surfaces, float(rng.uniform(0.35, 0.85)))
    return clutter(rng, height, width)


def counter(rng: np.random.Generator, height: int, width: int, surfaces: Surfaces | None, edge: float) -> Pixels:
    """Return a wall above and a table top below; edge is where they meet, a share of the height."""
    split = max(2, round(edge * height))
    wall = surface(rng, split, width, surfaces) if rng.random() < 0.6 else clutter(rng, split, width)
    wall = cv2.GaussianBlur(wall, (0, 0), float(rng.uniform(0.5, 4)))
    return before(wall, receding(surface(rng, max(2, height - split), width, surfaces)), float(rng.uniform(0.1, 0.5)))


def receding(flat: Pixels) -> Pixels:
    """Return a surface as a table top, its far edge above."""
    height, width = flat.shape[:2]
    source = np.array([[0, 0], [width, 0], [0.8 * width, height], [0.2 * width, height]], np.float32)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.warpPerspective(
        flat, cv2.getPerspectiveTransform(source, target), (width, height), borderMode=cv2.BORDER_REFLECT
    )


def before(wall: Pixels, table: Pixels, dark: float) -> Pixels:
    """Join a wall and the table before it; the line where they meet is darker by a share."""
    joined = np.concatenate([wall, table])
    far = np.abs(np.arange(len(joined)) - len(wall)) / (0.03 * len(joined) + 1)
    return (joined * (1 - dark * np.exp(-far))[:, None, None]).astype(np.uint8)


def _part(rng: np.random.Generator, photo: Pixels, height: int, width: int) -> Pixels:
    """Cut a turned, slanted part out of a photo and light it."""
    side = float(rng.uniform(0.35, 1.0)) * min(photo.shape[:2])
    a = float(rng.uniform(0, 2 * np.pi)) if rng.random() < 0.5 else 0.0
    c, s = np.cos(a), np.sin(a)
    aspect = np.array([width, height]) / max(width, height)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * aspect * side / 2 * (1 / (abs(c) + abs(s)))
    corners *= rng.uniform(0.8, 1.0, (4, 1))
    turned = corners @ np.array([[c, s], [-s, c]])
    room = np.array(photo.shape[1::-1]) / 2 - np.abs(turned).max(0)
    source = turned + np.array(photo.shape[1::-1]) / 2 + rng.uniform(-1, 1, 2) * np.maximum(room, 0)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target)
    part = cv2.warpPerspective(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    gain = float(rng.uniform(0.6, 1.15)) * rng.uniform(0.92, 1.08, 3)
    return np.clip(part * gain, 0, 255).astype(np.uint8)


def _drawn(rng: np.random.Generator, height: int, width: int) -> Pixels:
    return DRAWN[str(rng.choice(list(DRAWN)))](rng, height, width)


def plain(rng: np.random.Generator, height: int, width: int, color: Color | None = None) -> Pixels:
    """Draw one color that gets lighter to one side."""
    y, x = _grid(height, width)
    slope = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    return _dyed(rng, color or _any_color(rng), slope[0] * (x - 0.5) + slope[1] * (y - 0.5))


def wood(rng: np.random.Generator, height: int, width: int, color: Color | None = None) -> Pixels:
    """Draw boards with their grain, from left to right."""
    base = from_hsv(float(rng.uniform(0.055, 0.095)), float(rng.uniform(0.3, 0.65)), float(rng.uniform(0.35, 0.9)))
    boards = int(rng.integers(1, 7))
    value = np.zeros((height, width), np.float32)
    for board in range(boards):
        top, bottom = height * board // boards, height * (board + 1) // boards
        rows = bottom - top
        bend = _noise(rng, rows, width, 3, 3)
        y, _ = _grid(rows, width)
        rings = np.sin((y * rng.uniform(6, 20) + 1.6 * bend) * np.float32(2 * np.pi))
        streaks = _noise(rng, rows, width, max(4, rows // 2), 5)
        value[top:bottom] = 0.05 * rings + 0.06 * streaks + np.float32(rng.normal(0, 0.06))
        value[top : top + max(1, height // 250)] -= 0.3
    return _dyed(rng, color or base, value)


def tiles(rng: np.random.Generator, height: int, width: int, color: Color | None = None) -> Pixels:
    """Draw square tiles with joints."""
    y, x = _grid(height, width)
    n, aspect = float(rng.uniform(3, 9)), height / width
    joints = ((x * n) % 1 < 0.03) | ((y * n * aspect) % 1 < 0.03)
    return _dyed(rng, color or _any_color(rng), 0.04 * _noise(rng, height, width, 9, 9) - 0.25 * joints)


def stone(rng: np.random.Generator, height: int, width: int, color: Color | None = None) -> Pixels:
    """Draw speckled stone or plaster."""
    value = np.zeros((height, width), np.float32)
    for cells in (4, 18, 60, 150):
        value += float(rng.uniform(0.01, 0.05)) * _noise(rng, height, width, cells, cells)
    return _dyed(rng, color or _any_color(rng), value)


def marble(rng: np.random.Generator, height: int, width: int, color: Color | None = None) -> Pixels:
    """Draw pale stone with veins."""
    base = from_hsv(float(rng.random()), float(rng.uniform(0, 0.08)), float(rng.uniform(0.75, 0.97)))
    value = 0.02 * _noise(rng, height, width, 4, 4)
    for cells in (3, 6):
        fold = _noise(rng, height, width, cells, cells) + 0.25 * _noise(rng, height, width, 5 * cells, 5 * cells)
        value -= float(rng.uniform(0.05, 0.16)) * np.exp(-np.abs(fold) / 0.05).astype(np.float32)
    return _dyed(rng, color or base, value)


DRAWN = {"plain": plain, "wood": wood, "tiles": tiles, "stone": stone, "marble": marble}


def _any_color(rng: np.random.Generator) -> Color:
    return from_hsv(float(rng.random()), float(rng.random() ** 2 * 0.6), float(rng.uniform(0.2, 1)))


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    return y, np.linspace(0, 1, width, dtype=np.float32)[None]


def _noise(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> Floats:
    cells = rng.normal(0, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)


def _dyed(rng: np.random.Generator, base: Color, value: Floats) -> Pixels:
    """Return a color made lighter and darker by a share a pixel, with a little grain."""
    grain = rng.normal(0, float(rng.uniform(0, 0.012)), value.shape).astype(np.float32)
    shares = 1 + value + grain
    return np.clip(np.array(base, np.float32) * shares[..., None], 0, 255).astype(np.uint8)


def clutter(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Return a shelf full of things out of focus, or a dark room with lights."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = from_hsv(float(rng.random()), float(rng.uniform(0, 0.3)), float(rng.uniform(0.05, 0.7)))
    rows = int(rng.integers(1, 4))
    for row in range(rows):
        top, bottom = round(height * row / rows), round(height * (row + 1) / rows)
        x = -int(rng.integers(0, 10))
        while x < width:
            w = max(3, round(width * float(rng.uniform(0.03, 0.2))))
            color = from_hsv(float(rng.random()), float(rng.uniform(0, 0.9)), float(rng.uniform(0.15, 0.95)))
            for _ in range(int(rng.integers(1, 4))):
                h = round((bottom - top) * float(rng.uniform(0.4, 0.9)))
                cv2.rectangle(canvas, (x, bottom - h), (x + w, bottom), color, -1)
                band = from_hsv(float(rng.random()), float(rng.uniform(0, 0.9)), float(rng.uniform(0.2, 1)))
                y = bottom - round(h * float(rng.uniform(0.2, 0.8)))
                cv2.rectangle(canvas, (x + 1, y), (x + w - 1, y + h // 5), band, -1)
                cv2.rectangle(canvas, (x + w // 4, y + h // 12), (x + w * 3 // 4, y + h // 8), color, -1)
                x += w + 1
            x += int(rng.integers(0, max(2, width // 12)))
        edge = max(1, height // 40)
        light = int(rng.integers(90, 240))
        cv2.rectangle(canvas, (0, bottom - edge), (width, bottom + edge), (light, light, light), -1)
    blur = float(rng.uniform(0.6, 0.03 * max(height, width) + 1))
    return cv2.GaussianBlur(canvas, (0, 0), blur)
