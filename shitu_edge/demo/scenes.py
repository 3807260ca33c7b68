"""Products, scenes and expectations in a folder, and the verdict on answers. No network.

    DIR/gallery/PRODUCT/*.jpg    or images named by a label file DIR/gallery/labels.txt
    DIR/scenes/*.jpg             photos to recognize
    DIR/scenes/scenes.json       their content, if known: {"FILE": [{"box_xyxy": [x1, y1, x2, y2], "label": ...}]}

A label of null means an unknown object. Scenes that `scenes.json` does not name are not judged.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import GalleryError
from ..imaging.geometry import pair_boxes
from ..inputs.folders import images_in
from ..inputs.skipped import Skipped
from ..inputs.sources import LabeledImage, find_images
from ..ranges import named, require_number, shown
from ..results import Box, RecognizedItem
from ..schema import build
from ..system.files import read_json

LAYOUT = "expected a folder with gallery/ (a subfolder per product, or labels.txt) and scenes/ (photos to recognize)"
EXPECTATIONS = "scenes.json"

_MAX_BYTES = 4 << 20
_FURTHEST = 1e6


@dataclass(frozen=True, slots=True)
class Expected:
    """An object in a scene, in pixels; `label` is None for an unknown object."""

    box_xyxy: Box
    label: str | None

    def __post_init__(self) -> None:
        """Check the box; raises `OptionError`."""
        for side in self.box_xyxy:
            require_number("box_xyxy", side, -_FURTHEST, _FURTHEST)


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo, its name in the folder, and its objects; None if not known."""

    path: Path
    name: str
    expected: tuple[Expected, ...] | None


@dataclass(frozen=True, slots=True)
class Photos:
    """Images of products, photos to recognize, and skipped files."""

    gallery: tuple[LabeledImage, ...]
    scenes: tuple[Scene, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer compared with the expectations.

    Attributes:
        meant: per recognized item the expected object that it boxes (IoU ≥ 0.5), or None.
        missed: expected objects that no item boxes.
        products, named: number of expected products, and of those recognized.
        unknown_objects, unknown: number of expected unknown objects, and of those recognized as unknown.
        false_accepts: number of items that name a product where nothing was expected.
    """

    meant: tuple[Expected | None, ...]
    missed: tuple[Expected, ...]
    products: int
    named: int
    unknown_objects: int
    unknown: int
    false_accepts: int

    @property
    def right(self) -> bool:
        """Whether all products and unknown objects are recognized, without false accepts."""
        return self.named == self.products and self.unknown == self.unknown_objects and not self.false_accepts


def find_photos(folder: Path) -> Photos:
    """Read the layout above.

    Raises:
        GalleryError, ImageError: there are no products or no scenes, or `scenes.json` is invalid.
    """
    gallery, scenes = folder / "gallery", folder / "scenes"
    for part in (folder, gallery, scenes):
        if not os.path.isdir(part):
            raise GalleryError(f"{part}: no such folder; {LAYOUT}")
    labels = gallery / "labels.txt"
    products = find_images(labels if labels.is_file() else gallery)
    photos = images_in(scenes)
    names = [path.relative_to(scenes).as_posix() for path in photos.images]
    expectations = _read_expectations(scenes / EXPECTATIONS, names, {image.label for image in products.images})
    found = (Scene(path, name, expectations.get(name)) for path, name in zip(photos.images, names, strict=True))
    others = (one for one in photos.skipped if one.source != EXPECTATIONS)
    return Photos(products.images, tuple(found), (*products.skipped, *others))


def judge(items: Sequence[RecognizedItem], expected: Sequence[Expected]) -> Verdict:
    """Compare recognized items with the scene's objects, paired by largest IoU."""
    pairs = _pair(items, expected)
    together = [(items[item], expected[thing]) for item, thing in pairs.items()]
    products = sum(thing.label is not None for thing in expected)
    return Verdict(
        meant=tuple(expected[pairs[item]] if item in pairs else None for item in range(len(items))),
        missed=tuple(thing for number, thing in enumerate(expected) if number not in pairs.values()),
        products=products,
        named=sum(thing.label is not None and is_right(item, thing) for item, thing in together),
        unknown_objects=len(expected) - products,
        unknown=sum(thing.label is None and is_right(item, thing) for item, thing in together),
        false_accepts=sum(item.decision != "unknown" and number not in pairs for number, item in enumerate(items)),
    )


def is_right(item: RecognizedItem, thing: Expected) -> bool:
    """Return whether an item has the object's label, or is unknown like it."""
    return item.label == thing.label and item.decision == ("unknown" if thing.label is None else "accepted")


def _pair(items: Sequence[RecognizedItem], expected: Sequence[Expected]) -> dict[int, int]:
    """Return the object that each item boxes, in order of overlap."""
    found, boxes = (
        np.array([one.box_xyxy for one in things], np.float32).reshape(-1, 4) for things in (items, expected)
    )
    return dict(pair_boxes(found, boxes))


def _read_expectations(file: Path, scenes: Sequence[str], labels: set[str]) -> Mapping[str, tuple[Expected, ...]]:
    if not file.exists():
        return {}
    try:
        read = build(dict[str, tuple[Expected, ...]], read_json(file, _MAX_BYTES))
    except OSError as error:
        raise GalleryError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise GalleryError(f"{file}: {str(error).removeprefix('.')}") from error
    if absent := sorted(set(read) - set(scenes)):
        raise GalleryError(f"{file}: {named(absent[0])}: no such image in this folder")
    labeled = {thing.label for things in read.values() for thing in things if thing.label is not None}
    if absent := sorted(labeled - labels):
        raise GalleryError(
            f"{file}: {shown(absent[0])} is not a product of the gallery; the label of an unknown object is null"
        )
    return read
