"""Photos with true boxes from the shared folder, and how found boxes compare with them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shitu_edge.imaging.geometry import Boxes, Pixels, pair_boxes
from shitu_edge.stages.decode import decode

HELD_OUT = 0.2
_FORMS = {"beer_bottle", "beer_can", "beer_carton", "beer_crate"}
_BRANDS = {"bia_viet", "bivina", "edelweiss", "heineken", "larue", "strongbow", "tiger"}
"""Of `beer_dev`: a brand's box is a product or, inside of one, its print."""


@dataclass(frozen=True, slots=True)
class BoxedPhoto:
    """Pixels (H, W, 3) uint8 RGB and true boxes (N, 4)."""

    pixels_rgb: Pixels
    boxes_xyxy: Boxes


@dataclass(frozen=True, slots=True)
class Counts:
    """Over photos: true things, those found (IoU of at least 0.5), and boxes beyond them.

    `doubles` lie at least half inside of a true thing, or it in them; `background` do not.
    """

    photos: int = 0
    things: int = 0
    found: int = 0
    doubles: int = 0
    background: int = 0

    def and_photo(self, truth: Boxes, found: Boxes) -> Counts:
        """Return the counts with those of another photo."""
        pairs = pair_boxes(found, truth)
        spare = [number for number in range(len(found)) if number not in dict(pairs)]
        doubles = sum(bool((_shared(found[number], truth) >= 0.5).any()) for number in spare)
        return Counts(
            self.photos + 1,
            self.things + len(truth),
            self.found + len(pairs),
            self.doubles + doubles,
            self.background + len(spare) - doubles,
        )

    def __str__(self) -> str:
        return (
            f"{self.found} of {self.things} found, {self.doubles / self.photos:.2f} doubles and "
            f"{self.background / self.photos:.2f} background boxes per photo"
        )


def _shared(box: Boxes, others: Boxes) -> Boxes:
    """Return the common area with each of N boxes, as a share of the smaller of the two."""
    corners = np.concatenate([np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])], axis=1)
    smaller = np.minimum(_area(box[None]), _area(others))
    shared: Boxes = _area(corners.astype(np.float32)) / np.maximum(smaller, np.float32(1))
    return shared


def _area(boxes: Boxes) -> Boxes:
    width, height = (np.maximum(boxes[:, side + 2] - boxes[:, side], 0) for side in (0, 1))
    area: Boxes = width * height
    return area


def held_out_drinks(data: Path) -> list[BoxedPhoto]:
    """Return the photos of `beverage` that training holds out; they are square."""
    from training.detector.photos import read_photos  # needs export/ on the path
    from training.detector.split import split_photos

    _, names = split_photos(data / "beverage", HELD_OUT)
    photos = read_photos(data / "beverage", names, longest_side=1 << 20)
    return [BoxedPhoto(photo.pixels_rgb, photo.boxes_xyxy) for photo in photos]


def fridges(data: Path) -> list[BoxedPhoto]:
    """Return the photos of `fridge_dev`, 3 : 4."""
    return [
        BoxedPhoto(decode(path).pixels_rgb, _rows(path.with_suffix(".bboxes.tsv")))
        for path in sorted((data / "fridge_dev").glob("*.jpg"))
    ]


def _rows(path: Path) -> Boxes:
    rows: Boxes = np.loadtxt(path, np.float32, ndmin=2)
    return rows


def promotions(data: Path) -> list[BoxedPhoto]:
    """Return the photos of `beer_dev`: bottles, cans, cartons, crates, and boxes of brands that lie in none of them."""
    content = json.loads((data / "beer_dev" / "annotations.coco.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in content["categories"]}
    boxes: dict[int, Boxes] = defaultdict(lambda: np.zeros((0, 4), np.float32))
    for kind in (_FORMS, _BRANDS):
        for one in content["annotations"]:
            x, y, width, height = one["bbox"]
            box, before = np.array([x, y, x + width, y + height], np.float32), boxes[one["image_id"]]
            if names[one["category_id"]] in kind and (kind is _FORMS or (_shared(box, before) < 0.5).all()):
                boxes[one["image_id"]] = np.concatenate([before, box[None]])
    return [
        BoxedPhoto(decode(data / "beer_dev" / one["file_name"]).pixels_rgb, boxes[one["id"]])
        for one in content["images"]
    ]
