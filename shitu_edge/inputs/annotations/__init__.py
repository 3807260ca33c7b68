"""Images with labeled boxes, in the formats that annotation tools write; one file per format.

FILE.json                    COCO: images, annotations with bbox [x, y, width, height], categories
DIR with classes.txt         YOLO: beside each image, or in labels/ beside images/, lines `class cx cy w h` (0..1)
DIR with *.xml               Pascal VOC: an XML file per image, beside it or in Annotations/ beside JPEGImages/
DIR or DIR/scenes.json       {"FILE": [{"box_xyxy": [x1, y1, x2, y2], "label": ...}]}; null is an unknown object
"""

from __future__ import annotations

from pathlib import Path

from .coco import read_coco
from .labeled import Annotations, LabeledBox, LabeledPhoto
from .scenes import SCENES, read_scenes
from .voc import has_voc, has_voc_files, read_voc
from .yolo import has_yolo, has_yolo_classes, read_yolo

__all__ = [
    "SCENES",
    "Annotations",
    "LabeledBox",
    "LabeledPhoto",
    "annotated_folder",
    "has_voc_files",
    "has_yolo_classes",
    "read_coco",
    "read_scenes",
    "read_voc",
    "read_yolo",
]


def annotated_folder(folder: Path) -> Annotations | None:
    """Return the annotations in a folder; None if it has none, so that its subfolders may be labels.

    Raises:
        GalleryError: they are not as described.
    """
    if (folder / SCENES).is_file():
        return read_scenes(folder / SCENES)
    if has_yolo(folder):
        return read_yolo(folder)
    return read_voc(folder) if has_voc(folder) else None
