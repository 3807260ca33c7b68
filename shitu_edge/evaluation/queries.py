"""Labeled images to evaluate on: with boxes in the formats of `inputs.annotations`, or with a label each.

DIR/LABEL/*.jpg              a folder per label; each image shows one product
FILE.txt, FILE.csv           a label file: path and label per line
DIR with one FILE.json       COCO
"""

from __future__ import annotations

import os
from pathlib import Path

from ..inputs.annotations import (
    SCENES,
    LabeledBox,
    LabeledPhoto,
    annotated_folder,
    has_voc_files,
    has_yolo_classes,
    read_coco,
    read_scenes,
    read_voc,
    read_yolo,
)
from ..inputs.sources import find_images

__all__ = ["LabeledBox", "LabeledPhoto", "read_queries"]


def read_queries(source: Path) -> list[LabeledPhoto]:
    """Read labeled images; the format is recognized by what the folder or file holds.

    Raises:
        GalleryError: the source is missing or is in none of the formats, or a label cannot be one.
    """
    if not os.path.isdir(source):
        if source.name == SCENES:
            return list(read_scenes(source).photos)
        return list(read_coco(source).photos) if source.suffix.lower() == ".json" else _labels(source)
    annotated = annotated_folder(source)
    if annotated is None and has_yolo_classes(source):
        annotated = read_yolo(source)  # which says what is missing, as the next one
    if annotated is None and has_voc_files(source):
        annotated = read_voc(source)
    if annotated is None:
        coco = sorted(path for path in source.glob("*.json") if path.is_file())
        annotated = read_coco(coco[0]) if len(coco) == 1 else None
    return _labels(source) if annotated is None else list(annotated.photos)


def _labels(source: Path) -> list[LabeledPhoto]:
    return [LabeledPhoto(image.path, image.source, image.label, None) for image in find_images(source).images]
