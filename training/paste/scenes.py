"""Scenes with exact boxes: cut-outs of real objects on images of real surfaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from ..detector.photos import read_rgb
from ..progress import Progress
from .compose import SHARPEST, Canvas, Pose, place
from .cutouts import Cutout, load_catalog, load_photographed
from .finish import camera
from .yolo import write_image

LEAST_VISIBLE = 0.3
"""An object that shows less of itself than this gets no box."""

NO_SURFACES = ("042_height1", "054_tennis")
"""Drawings among the textures."""


@dataclass(frozen=True, slots=True)
class Material:
    """Material for scenes.

    Attributes:
        whole, cut: objects, and those that their photo cuts off.
        packages: catalog images, upright.
        surfaces: textures (H, W, 3) uint8 RGB.
        rooms: photos of a shop.
    """

    whole: list[Cutout]
    cut: list[Cutout]
    packages: list[Cutout]
    surfaces: list[Pixels]
    rooms: list[Path]

    def any_whole(self, rng: np.random.Generator) -> Cutout:
        """Draw an object; the few clean packages more often than their number says."""
        cutouts = self.packages if rng.random() < 0.2 else self.whole
        return cutouts[rng.integers(len(cutouts))]


@dataclass(frozen=True, slots=True)
class Scene:
    """An image (H, W, 3) uint8 RGB and the visible extent (N, 4) xyxy of each object, in pixels."""

    pixels_rgb: Pixels
    boxes_xyxy: NDArray[np.float32]


def paste_scenes(out: Path, count: int, seed: int, shared: Path, progress: Progress = lambda done, total: None) -> None:
    """Write `count` scenes to `out` in YOLO's layout; the same seed makes the same scenes.

    Args:
        shared: the folder with `data/trashnet`, `data/grocery` and `data/textures`.
        progress: told how many steps are done, of how many: first the cut-outs, then the scenes.
    """
    write_scenes(out, count, [seed], shared, make_scene, progress)


def write_scenes(
    out: Path,
    count: int,
    seeds: Sequence[int],
    shared: Path,
    make: Callable[[np.random.Generator, Material], Scene],
    progress: Progress,
) -> None:
    """Make scenes, each with a generator of `seeds` and its number, and write them; see `paste_scenes`."""
    material = load_material(shared, progress)
    for number in range(count):
        scene = make(np.random.default_rng([*seeds, number]), material)
        write_image(out, f"{number:06d}", scene.pixels_rgb, scene.boxes_xyxy)
        progress(number + 1, count)


def load_material(shared: Path, progress: Progress) -> Material:
    """Read the cut-outs and backgrounds below `shared`."""
    textures = [file for file in sorted((shared / "data/textures").glob("*.jpg")) if file.stem not in NO_SURFACES]
    rooms = sorted((shared / "data/grocery/images/train").rglob("*.jpg"))
    photographed, packages = load_photographed(shared, progress), load_catalog(shared)
    whole = [cutout for cutout in photographed if not cutout.is_cut]
    cut = [cutout for cutout in photographed if cutout.is_cut]
    return Material(whole, cut, packages, [read_rgb(file) for file in textures], rooms)


def make_scene(rng: np.random.Generator, material: Material) -> Scene:
    """Make one scene: seen from above, or on a counter before a blurred room."""
    height, width = (int(side) for side in rng.integers(480, 641, 2))
    surface = material.surfaces[rng.integers(len(material.surfaces))]
    if rng.random() < 0.5:
        canvas = Canvas.of(_from_above(rng, surface, height, width), rng)
        _scatter(rng, canvas, material)
    else:
        horizon = int(height * rng.uniform(0.05, 0.55))
        room = read_rgb(material.rooms[rng.integers(len(material.rooms))])
        canvas = Canvas.of(counter(rng, surface, room, height, width, horizon, rng.uniform(9, 25)), rng)
        stand(rng, canvas, material, horizon)
    boxes = canvas.visible_boxes(LEAST_VISIBLE)
    return Scene(camera(rng, canvas.pixels), boxes)


def _scatter(rng: np.random.Generator, canvas: Canvas, material: Material) -> None:
    """Lay one to ten objects down, some of them several times in a row, some cut off by the image's edge."""
    height, width = canvas.pixels.shape[:2]
    count = int(rng.integers(1, 11))
    typical = rng.uniform(0.8, 1.3) * 0.7 * (height * width / (count + 0.7)) ** 0.5
    while count > 0:
        size = typical * rng.uniform(0.65, 1.4)
        if rng.random() < 0.12:
            cutout = material.cut[rng.integers(len(material.cut))]
            place(rng, canvas, cutout, _at_edge(rng, cutout, size * 1.3, height, width))
            count -= 1
            continue
        cutout, angle = material.any_whole(rng), rng.uniform(0, 360)
        row = int(rng.integers(2, 6)) if count > 2 and rng.random() < 0.2 else 1
        start, along = rng.uniform(0.05, 0.95, 2) * (width, height), rng.uniform(0, 2 * np.pi)
        pitch = _breadth(cutout, size) * rng.uniform(0.8, 1.6)
        for number in range(min(row, count)):
            x, y = start + number * pitch * np.array([np.cos(along), np.sin(along)]) + rng.normal(0, 0.02 * size, 2)
            turn = angle + rng.normal(0, 4)
            place(rng, canvas, cutout, Pose(float(x), float(y), size, turn, tilt=0.1))
        count -= min(row, count)


def stand(rng: np.random.Generator, canvas: Canvas, material: Material, horizon: int) -> None:
    """Stand one to ten objects on the counter, the far ones first and smaller."""
    height, width = canvas.pixels.shape[:2]
    count = int(rng.integers(1, 11))
    nearest = rng.uniform(0.45, 1.0) * height * (0.75 if count > 4 else 1.0)
    feet = np.sort(rng.uniform(horizon + 0.15 * (height - horizon), height * 1.02, count))
    while count > 0:
        cutout = material.any_whole(rng)
        foot = feet[len(feet) - count]
        size = nearest * (0.45 + 0.55 * (foot - horizon) / (height - horizon)) * rng.uniform(0.5, 1.0)
        row = int(rng.integers(2, 6)) if count > 2 and rng.random() < 0.3 else 1
        x, pitch = rng.uniform(0.0, 1.0) * width, _breadth(cutout, size) * rng.uniform(0.75, 1.3)
        upside = 180 if cutout.upright_deg and rng.random() < 0.5 else 0
        lying = 90 if rng.random() < 0.15 else 0
        for number in range(min(row, count)):
            turn = cutout.upright_deg + upside + lying + rng.normal(0, 3)
            pose = Pose(float(x + number * pitch), float(foot), size, turn, tilt=0.05, stands=True)
            place(rng, canvas, cutout, pose)
        count -= min(row, count)


def _at_edge(rng: np.random.Generator, cutout: Cutout, size: float, height: int, width: int) -> Pose:
    """Put an object that its photo cut off so that the scene's edge cuts it off."""
    side = int(rng.integers(4))  # 0 bottom, 1 right, 2 top, 3 left
    size = min(size, SHARPEST * max(cutout.alpha.shape))
    depth = size * (0.5 * cutout.alpha.shape[0] / max(cutout.alpha.shape) - rng.uniform(0.02, 0.15))
    along = rng.uniform(0.15, 0.85)
    x = (along * width, width - depth, along * width, depth)[side]
    y = (height - depth, along * height, depth, along * height)[side]
    return Pose(float(x), float(y), size, 90.0 * side, tilt=0.0)


def _breadth(cutout: Cutout, size: float) -> float:
    return float(size * min(cutout.alpha.shape) / max(cutout.alpha.shape))


def _from_above(rng: np.random.Generator, surface: Pixels, height: int, width: int) -> Pixels:
    """Return a piece (height, width, 3) of a surface, turned and slightly tilted."""
    turned = np.rot90(surface, int(rng.integers(4)))
    side = min(turned.shape[:2]) * rng.uniform(0.5, 1.0)
    limit = np.array(turned.shape[1::-1]) - side
    corners = rng.uniform(0, 1, 2) * limit + side * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners += rng.uniform(-0.08, 0.08, (4, 2)) * side
    return _warped(turned, corners, height, width)


def counter(
    rng: np.random.Generator, surface: Pixels, room: Pixels, height: int, width: int, horizon: int, blur: float
) -> Pixels:
    """Return a blurred room (height, width, 3) with a surface below the horizon that narrows away from the viewer."""
    image = cv2.GaussianBlur(cv2.resize(room, (width, height)), (0, 0), blur)
    turned = np.rot90(surface, int(rng.integers(4)))
    deep, wide = turned.shape[0], turned.shape[1]
    inset = rng.uniform(0.05, 0.3) * wide
    corners = np.array([[0, 0], [wide, 0], [wide - inset, deep], [inset, deep]], np.float64)
    plane = _warped(turned, corners, height - horizon, width)
    edge = np.clip((np.arange(height) - horizon) / rng.uniform(1, 8) + 0.5, 0, 1)[:, None, None]
    below = np.concatenate([np.repeat(plane[:1], horizon, axis=0), plane])
    return (image * (1 - edge) + below * edge).astype(np.uint8)


def _warped(image: Pixels, corners: NDArray[np.float64], height: int, width: int) -> Pixels:
    """Return the quadrilateral (4, 2) of an image as (height, width, 3); what lies outside is mirrored."""
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    return cv2.warpPerspective(
        np.ascontiguousarray(image), matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
