"""Drawn training data as files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from ..paste.yolo import label_lines
from ..progress import Progress
from .crop import draw_crop
from .product import Product
from .scene import draw_scene
from .surfaces import load_surfaces

Job = TypeVar("Job")
Result = TypeVar("Result")
_SEEDS = 1_000_000
"""Product seeds that one data set may use: set s has the products from s × 1 000 000 on."""
_AT_ONCE = 48
_NEW_A_SCENE = 3


def render_crops(
    out: Path,
    identities: int,
    views: int,
    size: int,
    seed: int,
    surfaces: Path | None,
    processes: int,
    progress: Progress,
) -> None:
    """Draw `views` crops of each of `identities` products into a folder.

    Writes `crops.npy`, uint8 RGB (identities × views, size, size, 3), and `labels.npy`, int32 (identities × views),
    0 to identities - 1, in order. The product of label k is `Product.of(seed * 1_000_000 + k)`.

    Args:
        out: folder, made where it is missing.
        identities: how many products; four in a row are one brand.
        views: crops a product.
        size: side of a crop in px.
        seed: of the data set, 0 to 1999; the same seed and sizes give the same files.
        surfaces: folder with photos of surfaces, or None for drawn ones.
        processes: how many draw at once.
        progress: called with products done and in all.

    Raises:
        ValueError: where a number is out of its range.
    """
    if min(identities, views, size, processes) < 1 or identities > _SEEDS or not 0 <= seed < 2000:
        raise ValueError(
            "expected identities (at most 1000000), views, size and processes of 1 or more and a seed of 0 to 1999, "
            f"found {identities}, {views}, {size}, {processes} and {seed}"
        )
    out.mkdir(parents=True, exist_ok=True)
    shape = (identities * views, size, size, 3)
    crops = np.lib.format.open_memmap(out / "crops.npy", "w+", np.uint8, shape)
    jobs = [(seed, k, views, size, surfaces) for k in range(identities)]
    for done, drawn in enumerate(_each(_crops_of, jobs, processes), start=1):
        crops[(done - 1) * views : done * views] = drawn
        progress(done, identities)
    crops.flush()
    np.save(out / "labels.npy", np.repeat(np.arange(identities, dtype=np.int32), views))


def _crops_of(job: tuple[int, int, int, int, Path | None]) -> Pixels:
    seed, k, views, size, folder = job
    product = Product.of(seed * _SEEDS + k)
    return np.stack(
        [draw_crop(product, np.random.default_rng((seed, k, view)), size, _surfaces(folder)) for view in range(views)]
    )


def render_scenes(out: Path, count: int, seed: int, surfaces: Path | None, processes: int, progress: Progress) -> None:
    """Draw `count` scenes with boxes into a folder, in the layout that YOLO tools read.

    Writes `images/000000.jpg` (quality 90, sides of 480 to 768 px) and `labels/000000.txt`, one line a product:
    `0 cx cy w h`, shares of the picture's size.

    Args:
        out: folder, made where it is missing.
        count: how many scenes.
        seed: of the data set, 0 to 1999; the same seed and count give the same files.
        surfaces: folder with photos of surfaces, or None for drawn ones.
        processes: how many draw at once.
        progress: called with scenes done and in all.

    Raises:
        ValueError: where a number is out of its range.
    """
    if min(count, processes) < 1 or count > _SEEDS // 8 or not 0 <= seed < 2000:
        raise ValueError(
            "expected a count of 1 to 125000, processes of 1 or more and a seed of 0 to 1999, "
            f"found {count}, {processes} and {seed}"
        )
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    jobs = [(seed, k, surfaces) for k in range(count)]
    for done, (coded, lines) in enumerate(_each(_scene_of, jobs, processes), start=1):
        (out / "images" / f"{done - 1:06d}.jpg").write_bytes(coded)
        (out / "labels" / f"{done - 1:06d}.txt").write_text(lines, encoding="utf-8")
        progress(done, count)


def _scene_of(job: tuple[int, int, Path | None]) -> tuple[bytes, str]:
    seed, k, folder = job
    rng = np.random.default_rng((seed, 1, k))
    width, height = (int(side) for side in rng.integers(480, 769, 2))
    # Scenes share most products with their neighbors, so that few labels are drawn anew.
    choice = rng.choice(_AT_ONCE, size=min(12, 1 + int(rng.gamma(1.8, 2.0))), replace=False)
    products = [Product.of(seed * _SEEDS + _NEW_A_SCENE * k + int(n)) for n in choice]
    scene = draw_scene(rng, products, width, height, _surfaces(folder))
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
