"""Scenes of many small things: products, cut out and drawn, on the boards of fridges and shelves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from ..render.poster import write_poster
from ..render.sprite import Light
from ..render.surfaces import backdrop
from .cabinet import Board, Cabinet, draw_cabinet
from .compose import Canvas, Pose, place
from .cutouts import Cutout
from .drawn import any_product
from .finish import camera
from .scenes import LEAST_VISIBLE, Material, Scene, counter, stand, write_scenes

LONGEST_SIDE = (560, 720)
"""Of a scene, in pixels."""
_ASPECTS = (9 / 16, 3 / 4, 1.0, 4 / 3, 16 / 9)
_ASPECT_SHARES = (0.15, 0.35, 0.2, 0.15, 0.15)
_EMPTY, _PRINT, _BEHIND = 0.08, 0.08, 0.2
"""Shares of cabinets without products, of walls full of print, and of shelves out of focus behind a counter."""
_OUT_OF_FOCUS = (0.004, 0.016)
"""Blur, as a share of the longer side."""
_DRAWN = 0.4
"""Share of products that are drawn."""
_HEIGHT = 170
"""Pixels of a drawn product; few are seen larger."""
_TURN = 4.0  # degrees
_CORNER = 0.06
"""How far a corner of the scene moves at most, as a share of its sides: perspective."""


def paste_shelves(
    out: Path, count: int, seed: int, shared: Path, progress: Progress = lambda done, total: None
) -> None:
    """Write `count` scenes to `out` in YOLO's layout; the same seed makes the same scenes.

    Args:
        shared: the folder with `data/trashnet`, `data/grocery` and `data/textures`.
        progress: told how many steps are done, of how many: first the cut-outs, then the scenes.
    """
    write_scenes(out, count, [seed, 2], shared, make_shelves, progress)


def make_shelves(rng: np.random.Generator, material: Material) -> Scene:
    """Make one scene; a few hold no products: empty cabinets, walls full of print."""
    aspect, longest = float(rng.choice(_ASPECTS, p=_ASPECT_SHARES)), int(rng.integers(*LONGEST_SIDE))
    width, height = round(longest * min(1.0, aspect)), round(longest / max(1.0, aspect))
    pick = float(rng.random())
    if pick < _PRINT:
        return printed_wall(rng, height, width, material)
    if pick < _PRINT + _BEHIND:
        return counter_before_shelves(rng, height, width, material)
    canvas = _shelves(rng, height, width, material)
    return Scene(camera(rng, canvas.pixels), canvas.visible_boxes(LEAST_VISIBLE))


def counter_before_shelves(rng: np.random.Generator, height: int, width: int, material: Material) -> Scene:
    """Make a counter with products before shelves that are out of focus: what stands in these has no boxes."""
    room = np.clip(_shelves(rng, height, width, material).pixels, 0, 255).astype(np.uint8)
    surface = material.surfaces[rng.integers(len(material.surfaces))]
    horizon, blur = int(height * rng.uniform(0.15, 0.7)), rng.uniform(*_OUT_OF_FOCUS) * max(height, width)
    canvas = Canvas.of(counter(rng, surface, room, height, width, horizon, blur), rng)
    stand(rng, canvas, material, horizon)
    return Scene(camera(rng, canvas.pixels), canvas.visible_boxes(LEAST_VISIBLE))


def _shelves(rng: np.random.Generator, height: int, width: int, material: Material) -> Canvas:
    cabinet = draw_cabinet(rng, height, width, material.surfaces)
    canvas = Canvas.of(cabinet.pixels_rgb, rng)
    if rng.random() >= _EMPTY:
        _fill(rng, canvas, cabinet, material)
    _veil(rng, canvas, cabinet)
    canvas.warp(_perspective(rng, height, width))
    return canvas


def printed_wall(rng: np.random.Generator, height: int, width: int, material: Material) -> Scene:
    """Make a wall with lines of print of any size, as posters, menus and signs have them, and no product."""
    wall = backdrop(rng, height, width, material.surfaces)
    for _ in range(int(rng.integers(2, 10))):
        wide, high = (round(float(rng.uniform(0.15, 1.0)) * side) for side in (width, height))
        x, y = int(rng.integers(0, width - wide + 1)), int(rng.integers(0, height - high + 1))
        write_poster(rng, wall[y : y + high, x : x + wide])
    return Scene(camera(rng, wall.astype(np.float32)), np.zeros((0, 4), np.float32))


def _fill(rng: np.random.Generator, canvas: Canvas, cabinet: Cabinet, material: Material) -> None:
    """Fill the boards, each in the manner of the cabinet: few things, rows of the same, or one beside the other."""
    light = Light.draw(rng)
    kinds = [any_product(rng, material, light, _DRAWN, _HEIGHT) for _ in range(int(rng.integers(3, 15)))]
    free = float(rng.choice([0.01, 0.05, 0.15]))
    rows = float(rng.choice([0.0, 0.3, 0.9]))
    tall = float(rng.uniform(0.55, 1.0))
    for board in cabinet.boards:
        if board.front > 1.05 * canvas.pixels.shape[0] or board.front - board.ceiling < 24 or rng.random() < 0.1:
            continue
        placed = []
        x = board.left + float(rng.exponential(free)) * (board.right - board.left)
        while x < board.right:
            cutout = kinds[int(rng.integers(len(kinds)))]
            number = int(rng.integers(2, 6)) if rng.random() < rows else 1
            for pose, wide in _poses(rng, cutout, board, x, tall, number):
                placed.append((pose, cutout))
                x += wide
            x += float(rng.exponential(free)) * (board.right - board.left)
        for pose, cutout in sorted(placed, key=lambda one: one[0].y):
            if board.left + pose.size / 3 < pose.x < board.right - pose.size / 3:
                place(rng, canvas, cutout, pose)


def _poses(
    rng: np.random.Generator, cutout: Cutout, board: Board, x: float, tall: float, number: int
) -> list[tuple[Pose, float]]:
    """Return where `number` of the same stand or lie side by side from x on, and how much room each takes."""
    gap = board.front - board.ceiling
    lying = rng.random() < 0.12
    longer, shorter = max(cutout.alpha.shape), min(cutout.alpha.shape)
    size = gap * tall * float(rng.uniform(0.5, 1.0))
    if longer < 1.3 * shorter:
        size *= 0.75  # what is as broad as high would be larger than a bottle
    wide = size * (1.0 if lying else shorter / longer)
    foot = float(rng.uniform(board.back + 0.3 * (board.front - board.back), board.front))
    turn = cutout.upright_deg + (90 if lying else 0)
    poses = []
    for _ in range(number):
        step = wide * float(rng.uniform(0.95, 1.2))
        y = foot + float(rng.normal(0, 0.01)) * gap
        poses.append((Pose(x + wide / 2, min(y, board.front), size, turn + float(rng.normal(0, 2)), 0.04, True), step))
        x += step
    return poses


def _veil(rng: np.random.Generator, canvas: Canvas, cabinet: Cabinet) -> None:
    """Put clear drawers before the lowest boards, or a glass door with reflections before all."""
    height, width = canvas.pixels.shape[:2]
    white = np.float32(rng.uniform(120, 255))
    if rng.random() < 0.3:
        for board in cabinet.boards[-int(rng.integers(1, 3)) :]:
            top, bottom = max(0, board.ceiling + (board.front - board.ceiling) // 5), min(height, board.front)
            part = canvas.pixels[top:bottom, max(0, board.left) : board.right]
            part += np.float32(rng.uniform(0.05, 0.3)) * (white - part)
            part[:2] = part[-2:] = part[:, :2] = part[:, -2:] = white
    if rng.random() < 0.15:
        lean, start, broad = rng.uniform(-0.8, 0.8), rng.uniform(0, width), rng.uniform(0.03, 0.3) * width
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        far = np.abs(x + np.float32(lean) * y - np.float32(start)) / np.float32(broad)
        shine = np.float32(rng.uniform(0.1, 0.45)) * np.clip(2 - 2 * far, 0, 1)
        canvas.pixels += shine[..., None] * (white - canvas.pixels)


def _perspective(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return the matrix (3, 3) of a camera that is not held straight, enlarged so that no corner stays empty."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    angle = np.deg2rad(rng.uniform(-_TURN, _TURN))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (corners - corners.mean(axis=0)) @ turn.T * 1.06 + corners.mean(axis=0)
    moved += rng.uniform(-_CORNER, _CORNER, (4, 2)) * (width, height)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    return np.asarray(matrix, np.float64)
