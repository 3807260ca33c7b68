"""The user's images, in three parts that share none: to choose ranges, to search with, to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels
from shitu_edge.inputs.sources import find_images
from shitu_edge.results import Detections
from shitu_edge.stages.decode import decode

from .endtoend import best_boxes, cut_crops
from .errors import ExportError
from .images import Sample, image_files, load_sample, spread

LEAST = 30
"""Images; fewer neither calibrate nor judge."""
_MOST = 450
_MOST_PRODUCTS = 900
_CROPS_A_IMAGE = 2
_PART = 3
_ENOUGH_SIDE = 640
"""Pixels of the shorter side that photos keep: hundreds of them are in memory at once."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Images by purpose, and what is known of products: crops and their labels."""

    ranges: tuple[Sample, ...]
    search: tuple[Sample, ...]
    judge: tuple[Sample, ...]
    products: tuple[Pixels, ...] = ()
    labels: tuple[str, ...] = ()

    @classmethod
    def load(cls, folders: Sequence[Path], products: Path | None) -> Calibration:
        """Read images below some folders, and images of products by label (as `shitu-edge gallery build` does).

        Raises:
            ExportError: there are too few images.
            ImageError, GalleryError: one cannot be read, or the products are not laid out by label.
        """
        paths = image_files(folders)
        if len(paths) < LEAST:
            raise ExportError(f"{len(paths)} images to calibrate with: at least {LEAST} are needed, 200 are better")
        samples = [load_sample(path, _ENOUGH_SIDE) for path in spread(paths, _MOST)]
        labeled = find_images(products).images if products else ()
        step = max(1, -(-len(labeled) // _MOST_PRODUCTS))
        chosen = labeled[::step]
        return cls(
            ranges=tuple(samples[0::_PART]),
            search=tuple(samples[1::_PART]),
            judge=tuple(samples[2::_PART]),
            products=tuple(decode(image.path, enough_side=_ENOUGH_SIDE).pixels_rgb for image in chosen),
            labels=tuple(image.label for image in chosen),
        )

    def __str__(self) -> str:
        return f"{len(self.ranges)} images for ranges, {len(self.search)} to search with, {len(self.judge)} to judge by"


def crops_of(samples: Sequence[Sample], found: Sequence[Detections]) -> list[NDArray[np.uint8]]:
    """Return each image and its best boxes as crops: what an extractor is fed."""
    images = [sample.pixels_rgb for sample in samples]
    return images + cut_crops(images, [best_boxes(boxes, _CROPS_A_IMAGE) for boxes in found])
