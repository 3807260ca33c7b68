"""Sources of a gallery's images: a folder per label, a label file, or annotated boxes."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import GalleryError
from .annotations import Annotations, LabeledPhoto, annotated_folder, read_coco, read_scenes
from .annotations.scenes import SCENES
from .found import FoundImages, LabeledImage, check_root
from .label_file import read_label_file
from .label_folders import LabelFrom, from_folder
from .skipped import Skipped

__all__ = ["FoundImages", "LabelFrom", "LabeledImage", "find_images"]


def find_images(source: Path, *, label_from: LabelFrom | None = None) -> FoundImages:
    """Find the images of a folder with a subfolder per label, of a label file, or of annotations.

    In a folder, images may lie at any depth below the label's subfolder. If most subfolders hold images only deeper
    down, the level of the labels is unclear, and the folder is refused without `label_from`.

    Annotations are COCO or `scenes.json` (a file), YOLO or Pascal VOC (a folder); each labeled box is an item.

    Args:
        source: the folder or file.
        label_from: the level of the labels in nested folders: `parent`, the folder that holds the image; `top`, the
            topmost one; `path`, all of them joined by ` / `.

    Raises:
        GalleryError: the source is missing or not as described, a label is refused, or there are no images.
    """
    if os.path.isdir(source):  # Path.is_dir raises for a name that is too long
        annotated = annotated_folder(source) if label_from is None else None
        return from_folder(source, label_from) if annotated is None else _from_annotations(source, annotated)
    if label_from is not None:
        raise GalleryError(f"{source}: is a file, which holds the labels; --label-from is for folders of folders")
    if source.name == SCENES:
        return _from_annotations(source, read_scenes(source))
    return _from_annotations(source, read_coco(source)) if source.suffix.lower() == ".json" else _from_list(source)


def _from_list(file: Path) -> FoundImages:
    read = read_label_file(file)
    if not read.lines:
        raise GalleryError(f"{file}: lists no images; expected lines of path<TAB>label")
    images = tuple(LabeledImage(file.parent / line.path, line.label, line.path) for line in read.lines)
    missing = [image.source for image in images if not os.path.lexists(image.path)]
    check_root(file, file.parent, [image.source for image in images], missing)
    return FoundImages(images, frozenset(image.label for image in images), notes=read.notes)


def _from_annotations(source: Path, read: Annotations) -> FoundImages:
    """Return an item per labeled box; unknown objects and images without boxes are skipped."""
    images = [image for photo in read.photos for image in _items(photo)]
    skipped = list(read.skipped)
    for photo in read.photos:
        if not photo.boxes:
            skipped.append(Skipped(photo.source, "has no box"))
        skipped += [Skipped(photo.source, "has a box without a label") for box in photo.boxes or () if not box.label]
    if not images:
        raise GalleryError(f"{source}: has no labeled boxes")
    return FoundImages(tuple(images), frozenset(image.label for image in images), tuple(skipped), read.notes)


def _items(photo: LabeledPhoto) -> list[LabeledImage]:
    return [
        LabeledImage(photo.path, thing.label, photo.source, thing.box_xyxy, photo.relative)
        for thing in photo.boxes or ()
        if thing.label is not None
    ]
