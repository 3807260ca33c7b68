"""COCO's annotations of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import GalleryError
from ...gallery.labels import normal_label
from ..found import check_root
from ..skipped import Skipped
from .json_file import json_content, named_image
from .labeled import Annotations, LabeledBox, LabeledPhoto


def read_coco(file: Path) -> Annotations:
    """Read a COCO file, whose images lie beside it or in `images/`; crowds are left out.

    Raises:
        GalleryError: it is not as described in `annotations`, or nearly all of its images are missing.
    """
    data = json_content(file)
    try:
        images = {int(row["id"]): str(row["file_name"]) for row in data["images"]}
        boxes = _boxes(file, data, images)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise GalleryError(f"{file}: is not a COCO file: {type(error).__name__}: {error}") from error
    beside = any(named_image(file, name).is_file() for name in images.values())
    base = file.parent if beside or not (file.parent / "images").is_dir() else file.parent / "images"
    photos = [
        LabeledPhoto(named_image(base / file.name, name), name, None, tuple(boxes[number]))
        for number, name in images.items()
    ]
    missing = [photo.source for photo in photos if not photo.path.is_file()]
    check_root(file, base, list(images.values()), missing)
    return Annotations(
        tuple(photo for photo in photos if photo.path.is_file()),
        tuple(Skipped(name, "is listed, but not there") for name in missing),
    )


def _boxes(file: Path, data: Any, images: dict[int, str]) -> dict[int, list[LabeledBox]]:
    """Return the boxes of each image, by its id."""
    names = {int(row["id"]): normal_label(str(row["name"]), str(file)) for row in data["categories"]}
    boxes: dict[int, list[LabeledBox]] = {number: [] for number in images}
    for row in data["annotations"]:
        if not row.get("iscrowd"):
            x, y, width, height = map(float, row["bbox"])
            box = (x, y, x + width, y + height)
            boxes[int(row["image_id"])].append(LabeledBox(box, names[int(row["category_id"])]))
    return boxes
