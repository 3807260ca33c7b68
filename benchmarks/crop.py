"""Recall@1 of gallery photos cropped to the detected product, by the shares of the photo that a box may cover.

    python -m benchmarks.crop GALLERY [QUERIES] [--models BUNDLE]

GALLERY and QUERIES are folders per label or label files. Without QUERIES each gallery photo asks the others. Queries
are whole photos, and photos cropped to the surest box. The last lines are the shares of photos whose crop is small,
touches the edge, or is blurred, the percentiles of their sharpness, and how many are called blurred once they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from shitu_edge import ImageError, LabeledImage, Recognizer, find_images
from shitu_edge.enrollment.quality import BLURRED, Look, look_of, sharpness
from shitu_edge.stages import regions

SHARES = (("whole", (2.0, 2.0)), ("any box", (0.0, 1.0)), ("5 to 80 %", (0.05, 0.8)), ("5 to 100 %", (0.05, 1.0)))


@dataclass(frozen=True, slots=True)
class Photos:
    """Rows (N, D) and labels (N,) of photos, and how many were cropped."""

    rows: NDArray[np.float32]
    labels: NDArray[np.str_]
    cropped: int
    looks: Sequence[Look]
    sharpness: Sequence[float]
    blurred: Sequence[float]
    """Sharpness after a Gaussian of 2 % of the shorter side."""


def main() -> None:
    """Print a line per rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("queries", type=Path, nargs="?")
    parser.add_argument("--models")
    arguments = parser.parse_args()
    images = find_images(arguments.gallery).images
    asked = find_images(arguments.queries).images if arguments.queries else None
    with Recognizer.open(arguments.models) as recognizer:
        galleries = {name: _embed(recognizer, images, shares) for name, shares in SHARES}
        queries = galleries if asked is None else {n: _embed(recognizer, asked, s) for n, s in SHARES[:2]}
    for name, gallery in galleries.items():
        recalls = [_recall(gallery, queries[query], asked is None) for query in ("whole", "any box")]
        share = gallery.cropped / len(gallery.labels)
        print(f"{name:<12}recall@1 of whole photos {recalls[0]:.4f}, of crops {recalls[1]:.4f}; {share:.1%} cropped")
    used = galleries["5 to 80 %"]
    for fault in ("small", "cut", "blurred"):
        print(f"{fault:<12}{np.mean([getattr(look, fault) for look in used.looks]):.2%}")
    print("sharpness   1, 2, 3, 5, 50 %:", np.percentile(used.sharpness, [1, 2, 3, 5, 50]).round(1).tolist())
    print(f"{np.mean(np.array(used.blurred) < BLURRED):.2%} if blurred by 2 % of the shorter side")


def _embed(recognizer: Recognizer, images: Sequence[LabeledImage], shares: tuple[float, float]) -> Photos:
    regions._PRODUCT_SHARES = shares
    spec = recognizer.bundle.manifest.extractor.network.input

    def embed(image: LabeledImage) -> tuple[NDArray[np.float32], bool, Look, float, float] | None:
        try:
            product = recognizer.cut_product(image.path)
        except ImageError:
            return None
        pixels = product.pixels_rgb
        row = recognizer.embed(pixels)[0]
        blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.02 * min(pixels.shape[:2]))))
        sharp = sharpness(pixels, spec), sharpness(blurred, spec)
        return row, product.box_xyxy is not None, look_of(product, spec), *sharp

    with ThreadPoolExecutor(recognizer.threads) as pool:
        made = [(one, image.label) for one, image in zip(pool.map(embed, images), images, strict=True) if one]
    rows, cropped, looks, sharp, blurred = zip(*(one for one, _ in made), strict=True)
    return Photos(np.stack(rows), np.array([label for _, label in made]), sum(cropped), looks, sharp, blurred)


def _recall(gallery: Photos, queries: Photos, leave_one_out: bool) -> float:
    cosines = queries.rows @ gallery.rows.T
    if leave_one_out:
        np.fill_diagonal(cosines, -2)
    nearest = gallery.labels[cosines.argmax(axis=1)]
    others = (queries.labels[:, None] == gallery.labels).sum(axis=1) - leave_one_out
    return float((nearest == queries.labels)[others > 0].mean())


if __name__ == "__main__":
    main()
