"""Boxes for shop photos by a teacher network, kept only where it agrees with itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Boxes, iou
from shitu_edge.results import Detections
from shitu_edge.stages.detect import Detector

from ..detector.photos import read_rgb
from ..progress import Progress
from .yolo import write_image

LONGEST_SIDE = 448
CONTEXT = 0.4
"""Margin around a box, in shares of its longer side; more would show other products, which have no boxes."""


@dataclass(frozen=True, slots=True)
class Trust:
    """When a photo's best box is believed.

    Attributes:
        score: its least score.
        agreement: the least IoU with the best boxes of the mirrored photo and of a crop around it.
        rival: the greatest score of another box, one that overlaps it less than `APART`.
        extent: the greatest share of the photo's width or height.
    """

    score: float
    agreement: float
    rival: float
    extent: float


APART = 0.4

PACKAGES = Trust(score=0.5, agreement=0.8, rival=0.3, extent=0.97)

LOOSE = Trust(score=0.85, agreement=0.85, rival=0.25, extent=0.72)
"""For fruit and vegetables: a crate of them gives a large box with a score of up to 0.84."""


def label_photos(photos: Sequence[Path], out: Path, teacher: Detector, progress: Progress) -> int:
    """Write the photos whose one product the object localizer finds for sure, cropped around it, in YOLO's layout.

    Photos that are not trusted are left out: an empty label would say that there is nothing.

    Args:
        photos: of the grocery set: its folder `Packages` has other thresholds than fruit and vegetables.
        teacher: see `open_localizer`.
        progress: told how many photos are done, of how many.

    Returns:
        How many photos were written.
    """
    written = 0
    for done, photo in enumerate(photos, 1):
        pixels = read_rgb(photo)
        box = trusted_box(teacher, pixels, PACKAGES if "Packages" in photo.parts else LOOSE)
        if box is not None:
            x0, y0, x1, y1 = around(box, CONTEXT, pixels)
            image, box = _shrunk(pixels[y0:y1, x0:x1], box - np.array([x0, y0, x0, y0], np.float32))
            write_image(out, f"{done - 1:06d}", image, box[None])
            written += 1
        progress(done, len(photos))
    return written


def grocery_photos(shared: Path) -> list[Path]:
    """Return the grocery photos of `train.txt` and `val.txt`, never those of the test split."""
    base = shared / "data/grocery"
    lines = [line for name in ("train.txt", "val.txt") for line in (base / name).read_text("utf-8").splitlines()]
    return [base / "images" / line.split(",")[0].strip() for line in lines if line.strip()]


def trusted_box(teacher: Detector, pixels_rgb: NDArray[np.uint8], trust: Trust) -> NDArray[np.float32] | None:
    """Return the box (4,) xyxy of a photo's one product, the mean of three looks at it; None where they disagree."""
    height, width = pixels_rgb.shape[:2]
    first = teacher.detect(pixels_rgb)
    if not len(first.boxes_xyxy) or not _stands_alone(first, trust):
        return None
    best = first.boxes_xyxy[0]
    x0, y0, x1, y1 = around(best, 0.3, pixels_rgb)
    mirrored = teacher.detect(np.ascontiguousarray(pixels_rgb[:, ::-1])).boxes_xyxy[:1]
    mirrored = mirrored[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
    mirrored += np.array([width, 0, width, 0], np.float32)
    closer = teacher.detect(np.ascontiguousarray(pixels_rgb[y0:y1, x0:x1])).boxes_xyxy[:1]
    looks = np.concatenate([best[None], mirrored, closer + np.array([x0, y0, x0, y0], np.float32)])
    extent = ((best[2:] - best[:2]) / np.array([width, height])).max()
    if len(looks) < 3 or iou(best, looks).min() < trust.agreement or extent > trust.extent:
        return None
    return looks.mean(axis=0)


def _stands_alone(found: Detections, trust: Trust) -> bool:
    others = found.scores[iou(found.boxes_xyxy[0], found.boxes_xyxy) < APART]
    return bool(found.scores[0] >= trust.score and others.max(initial=0) <= trust.rival)


def around(box_xyxy: Boxes, context: float, pixels_rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of a box (4,) grown by `context` of its longer side, as far as the image goes."""
    grow = context * (box_xyxy[2:] - box_xyxy[:2]).max()
    low = np.maximum(np.floor(box_xyxy[:2] - grow), 0).astype(int)
    high = np.minimum(np.ceil(box_xyxy[2:] + grow), pixels_rgb.shape[1::-1]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _shrunk(pixels_rgb: NDArray[np.uint8], box_xyxy: Boxes) -> tuple[NDArray[np.uint8], Boxes]:
    height, width = pixels_rgb.shape[:2]
    scale = min(LONGEST_SIDE / max(height, width), 1)
    size = (round(width * scale), round(height * scale))
    shrunk: NDArray[np.uint8] = cv2.resize(pixels_rgb, size, interpolation=cv2.INTER_AREA)
    return shrunk, (box_xyxy * (np.array([*size, *size]) / (width, height, width, height))).astype(np.float32)
