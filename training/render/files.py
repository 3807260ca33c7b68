"""Drawn training data as files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, TypeVar

import cv2
import numpy as np
import typer

from shitu_edge.imaging.geometry import Pixels

from ..options import Seed
from ..paste.yolo import label_lines
from ..progress import Progress
from .crop import draw_crop
from .product import Product
from .scene import draw_scene
from .surfaces import load_surfaces

Out = Annotated[Path, typer.Option(help="Folder to write.")]
Surfaces = Annotated[Path | None, typer.Option(help="Folder of photos of surfaces. [default: drawn ones]")]
Processes = Annotated[int, typer.Option(min=1, help="Number of drawing processes.")]

Job = TypeVar("Job")
Result = TypeVar("Result")
_SEEDS = 1_000_000
"""Product seeds that one data set may use: set s has the products from s × 1 000 000 on."""
_AT_ONCE = 48
_NEW_A_SCENE = 3


@dataclass(frozen=True, slots=True)
class CropOptions:
    """Options of `draw-crops`: `views` crops of each of `identities` products, `size` px a side."""

    out: Out
    identities: Annotated[int, typer.Option(min=1, help="Products; four in a row are one brand.")] = 1600
    views: Annotated[int, typer.Option(min=1, help="Images per product.")] = 10
    size: Annotated[int, typer.Option(min=32, help="Side in pixels.")] = 176
    surfaces: Surfaces = None
    seed: Seed = 1
    processes: Processes = 1

    def __post_init__(self) -> None:
        _require(self.seed, 2000, "seed", 0)
        _require(self.identities, _SEEDS, "identities")


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """Options of `draw-scenes`."""

    out: Out
    count: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 1500
    surfaces: Surfaces = None
    seed: Seed = 1
    processes: Processes = 1

    def __post_init__(self) -> None:
        _require(self.seed, 2000, "seed", 0)
        _require(self.count, _SEEDS // 8, "count")


def _require(value: int, limit: int, name: str, least: int = 1) -> None:
    if not least <= value < limit:
        raise ValueError(f"{name}: expected {least} to {limit - 1}, found {value}")


def render_crops(options: CropOptions, progress: Progress) -> None:
    """Draw products as a detector would crop them, into a pack.

    Writes `crops.npy`, uint8 RGB (identities × views, size, size, 3), and `labels.npy`, int32 (identities × views), 0
    to identities - 1, in order. The product of label k is `Product.of(seed * 1_000_000 + k)`. The same seed and sizes
    give the same files.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    shape = (options.identities * options.views, options.size, options.size, 3)
    crops = np.lib.format.open_memmap(options.out / "crops.npy", "w+", np.uint8, shape)
    jobs = [(options, k) for k in range(options.identities)]
    for k, drawn in enumerate(_each(_crops_of, jobs, options.processes)):
        crops[k * options.views : (k + 1) * options.views] = drawn
        progress(k + 1, options.identities)
    crops.flush()
    np.save(options.out / "labels.npy", np.repeat(np.arange(options.identities, dtype=np.int32), options.views))


def _crops_of(job: tuple[CropOptions, int]) -> Pixels:
    options, k = job
    product, surfaces = Product.of(options.seed * _SEEDS + k), _surfaces(options.surfaces)
    generators = [np.random.default_rng((options.seed, k, view)) for view in range(options.views)]
    return np.stack([draw_crop(product, rng, options.size, surfaces) for rng in generators])


def render_scenes(options: SceneOptions, progress: Progress) -> None:
    """Draw scenes with boxes, in the layout that YOLO tools read.

    Writes `images/000000.jpg` (quality 90, sides of 480 to 768 px) and `labels/000000.txt`, a line per product:
    `0 cx cy w h`, shares of the image's size. The same seed and count give the same files.
    """
    for folder in ("images", "labels"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    jobs = [(options, k) for k in range(options.count)]
    for k, (coded, lines) in enumerate(_each(_scene_of, jobs, options.processes)):
        (options.out / "images" / f"{k:06d}.jpg").write_bytes(coded)
        (options.out / "labels" / f"{k:06d}.txt").write_text(lines, encoding="utf-8")
        progress(k + 1, options.count)


def _scene_of(job: tuple[SceneOptions, int]) -> tuple[bytes, str]:
    options, k = job
    rng = np.random.default_rng((options.seed, 1, k))
    width, height = (int(side) for side in rng.integers(480, 769, 2))
    # Scenes share most products with their neighbors, so that few labels have to be drawn.
    choice = rng.choice(_AT_ONCE, size=min(12, 1 + int(rng.gamma(1.8, 2.0))), replace=False)
    products = [Product.of(options.seed * _SEEDS + _NEW_A_SCENE * k + int(n)) for n in choice]
    scene = draw_scene(rng, products, width, height, _surfaces(options.surfaces))
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(scene.image_rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return coded.tobytes(), label_lines(scene.boxes_xyxy, width, height)


@lru_cache(maxsize=1)
def _surfaces(folder: Path | None) -> list[Pixels] | None:
    return None if folder is None else load_surfaces(folder)


def _each(work: Callable[[Job], Result], jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    """Do jobs in order, in this process or in several."""
    cv2.setNumThreads(1)
    if processes == 1:
        yield from map(work, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap(work, jobs, chunksize=4)
