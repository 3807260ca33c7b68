"""Labeled images to evaluate on, in the formats that annotation tools write.

DIR/LABEL/*.jpg              a folder per label; each image shows one product
FILE.txt, FILE.csv           a label file: path and label per line
DIR or DIR/scenes.json       {"FILE": [{"box_xyxy": [x1, y1, x2, y2], "label": ...}]}; null is an unknown object
FILE.json                    COCO: images, annotations with bbox [x, y, width, height], categories
DIR with classes.txt         YOLO: beside each image, or in labels/ beside images/, lines `class cx cy w h` (0..1)
DIR with *.xml               Pascal VOC: an XML file per image, beside it or in Annotations/ beside JPEGImages/
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as xml
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import GalleryError
from ..gallery.labels import normal_label
from ..imaging.geometry import Boxes
from ..inputs.folders import images_in
from ..inputs.sources import find_images
from ..ranges import require_number
from ..results import Box
from ..schema import SchemaError, build
from ..system.files import read_bounded, read_json

SCENES = "scenes.json"
_MOST_BYTES = 256 << 20
_MOST_XML_BYTES = 1 << 20
_FURTHEST = 1e6


@dataclass(frozen=True, slots=True)
class LabeledBox:
    """A thing in an image, in pixels or relative, and its label; None is an unknown object."""

    box_xyxy: Box
    label: str | None

    def __post_init__(self) -> None:
        """Check the box.

        Raises:
            OptionError: a side is not a number, or lies further out than any image reaches.
        """
        for side in self.box_xyxy:
            require_number("box", side, -_FURTHEST, _FURTHEST)


@dataclass(frozen=True, slots=True)
class LabeledPhoto:
    """An image, its name in the set, and its label, or all things that it shows.

    Attributes:
        label: of the one product that it shows, None if it has boxes.
        boxes: everything that it shows, None if it has a label.
        relative: the boxes are in shares of the image's width and height instead of pixels.
    """

    path: Path
    source: str
    label: str | None
    boxes: tuple[LabeledBox, ...] | None
    relative: bool = False

    def boxes_xyxy(self, width: int, height: int) -> Boxes:
        """Return the boxes (N, 4) in pixels of an image of this size."""
        boxes = np.array([thing.box_xyxy for thing in self.boxes or ()], np.float32).reshape(-1, 4)
        return boxes * np.array([width, height, width, height], np.float32) if self.relative else boxes


def read_queries(source: Path) -> list[LabeledPhoto]:
    """Read labeled images; the format is recognized by what the folder or file holds.

    Raises:
        GalleryError: the source is missing or is in none of the formats, or a label cannot be one.
    """
    if not os.path.isdir(source):
        if source.name == SCENES:
            return _scenes(source)
        return _coco(source) if source.suffix.lower() == ".json" else _labels(source)
    if (source / SCENES).is_file():
        return _scenes(source / SCENES)
    if _classes_file(source):
        return _yolo(source)
    if next(_annotations(source), None):
        return _voc(source)
    coco = sorted(path for path in source.glob("*.json") if path.is_file())
    if len(coco) == 1:
        return _coco(coco[0])
    return _labels(source)


def _labels(source: Path) -> list[LabeledPhoto]:
    return [LabeledPhoto(image.path, image.source, image.label, None) for image in find_images(source).images]


def _scenes(file: Path) -> list[LabeledPhoto]:
    read = _built(dict[str, tuple[LabeledBox, ...]], file)
    return [
        LabeledPhoto(_inside(file, name), name, None, tuple(_checked(file, thing) for thing in things))
        for name, things in read.items()
    ]


def _checked(file: Path, thing: LabeledBox) -> LabeledBox:
    label = None if thing.label is None else normal_label(thing.label, str(file))
    return LabeledBox(thing.box_xyxy, label)


def _built(kind: Any, file: Path) -> Any:
    try:
        return build(kind, _json(file))
    except SchemaError as error:
        raise GalleryError(f"{file}: {str(error).removeprefix('.')}") from error


def _json(file: Path) -> Any:
    try:
        return read_json(file, _MOST_BYTES)
    except OSError as error:
        raise GalleryError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise GalleryError(f"{file}: {error}") from error


def _inside(file: Path, name: str) -> Path:
    """Return the path of an image that a file names, beside the file."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or ":" in relative.parts[0]:
        raise GalleryError(f"{file}: {name!r}: expected an image in the file's folder or below it")
    return file.parent / relative


# -- COCO


def _coco(file: Path) -> list[LabeledPhoto]:
    data = _json(file)
    try:
        names = {int(row["id"]): normal_label(str(row["name"]), str(file)) for row in data["categories"]}
        images = {int(row["id"]): str(row["file_name"]) for row in data["images"]}
        boxes: dict[int, list[LabeledBox]] = {number: [] for number in images}
        for row in data["annotations"]:
            if not row.get("iscrowd"):
                x, y, width, height = map(float, row["bbox"])
                box = (x, y, x + width, y + height)
                boxes[int(row["image_id"])].append(LabeledBox(box, names[int(row["category_id"])]))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise GalleryError(f"{file}: is not a COCO file: {type(error).__name__}: {error}") from error
    base = file.parent if any((file.parent / name).is_file() for name in images.values()) else file.parent / "images"
    found = [
        LabeledPhoto(_inside(base / file.name, name), name, None, tuple(boxes[number]))
        for number, name in images.items()
    ]
    return _present(file, found)


# -- YOLO


def _classes_file(folder: Path) -> Path | None:
    """Return the file with a YOLO set's class names."""
    for name in ("classes.txt", "obj.names", "data.yaml", "data.yml"):
        for place in (folder, folder.parent):
            file = place / name
            if file.is_file() and (place == folder or (folder / "labels").is_dir()):
                return file
    return None


def _yolo(folder: Path) -> list[LabeledPhoto]:
    file = _classes_file(folder)
    assert file is not None
    names = _class_names(file)
    photos = []
    for path in images_in(folder).images:
        labels = _yolo_file(path)
        if labels is not None:
            source = path.relative_to(folder).as_posix()
            photos.append(LabeledPhoto(path, source, None, _yolo_boxes(labels, names), relative=True))
    if not photos:
        raise GalleryError(f"{folder}: no image has a label file: expected FILE.txt beside FILE.jpg, or in labels/")
    return photos


def _class_names(file: Path) -> dict[int, str]:
    text = _text(file)
    if file.suffix in (".yaml", ".yml"):
        return {number: normal_label(name, str(file)) for number, name in _yaml_names(file, text)}
    lines = (line.strip() for line in text.splitlines())
    return {number: normal_label(line, str(file)) for number, line in enumerate(filter(None, lines))}


def _yaml_names(file: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield `names` of a data.yaml, a list or a mapping of numbers, without a YAML library."""
    lines = [line.partition(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#")]
    start = next((place for place, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        raise GalleryError(f"{file}: has no `names:`; write the names into classes.txt, one per line")
    inline = lines[start].partition(":")[2].strip()
    if inline:
        parts = inline.strip("[]{}").split(",")
    else:
        indented = takewhile(lambda line: not line.strip() or line.startswith((" ", "-", "\t")), lines[start + 1 :])
        parts = [line.strip().removeprefix("-") for line in indented]
    for place, part in enumerate(part.strip() for part in parts if part.strip()):
        number, colon, name = part.partition(":")
        numbered = colon and number.strip().isdigit()
        yield (int(number), name.strip(" '\"")) if numbered else (place, part.strip("'\""))


def _yolo_file(image: Path) -> Path | None:
    beside = image.with_suffix(".txt")
    parts = list(image.parts)
    candidates = [beside]
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        candidates.append(Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt"))
    candidates.append(image.parent / "labels" / beside.name)
    return next((file for file in candidates if file.is_file()), None)


def _yolo_boxes(file: Path, names: Mapping[int, str]) -> tuple[LabeledBox, ...]:
    boxes = []
    for number, cells in enumerate((line.split() for line in _text(file).splitlines() if line.strip()), 1):
        try:
            label = names[int(cells[0])]
            x, y, wide, high = map(float, cells[1:5])
            boxes.append(LabeledBox((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), label))
        except (LookupError, ValueError) as error:
            raise GalleryError(
                f"{file}, line {number}: expected `class cx cy w h` of one of {len(names)} classes"
            ) from error
    return tuple(boxes)


# -- Pascal VOC


def _annotations(folder: Path) -> Iterator[Path]:
    for place in (folder / "Annotations", folder, folder.parent / "Annotations"):
        if place.is_dir():
            yield from sorted(place.glob("*.xml"))


def _voc(folder: Path) -> list[LabeledPhoto]:
    images: dict[str, list[Path]] = {}
    for path in images_in(folder).images:
        images.setdefault(path.stem, []).append(path)
    photos = []
    for file in dict.fromkeys(_annotations(folder)):
        found = images.get(file.stem, [])
        if len(found) > 1:
            raise GalleryError(f"{file}: belongs to {found[0]} or {found[1]}; give each image a name of its own")
        for path in found:
            photos.append(LabeledPhoto(path, path.relative_to(folder).as_posix(), None, _voc_boxes(file)))
    if not photos:
        raise GalleryError(f"{folder}: no image belongs to its XML files: expected FILE.jpg for FILE.xml")
    return photos


def _voc_boxes(file: Path) -> tuple[LabeledBox, ...]:
    text = _text(file, _MOST_XML_BYTES)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise GalleryError(f"{file}: has a document type, which an annotation does not need")
    boxes = []
    try:
        for thing in xml.fromstring(text).iter("object"):
            sides = (float(thing.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax"))
            left, top, right, bottom = sides
            # VOC counts pixels from 1 and includes the last one.
            label = normal_label(thing.findtext("name", ""), str(file))
            boxes.append(LabeledBox((left - 1, top - 1, right, bottom), label))
    except (xml.ParseError, TypeError, ValueError) as error:
        raise GalleryError(f"{file}: is not a Pascal VOC annotation: {error}") from error
    return tuple(boxes)


# -- all


def _text(file: Path, most: int = _MOST_BYTES) -> str:
    try:
        return read_bounded(file, most).decode("utf-8-sig")
    except OSError as error:
        raise GalleryError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GalleryError(f"{file}: is not UTF-8 text") from error


def _present(file: Path, photos: Sequence[LabeledPhoto]) -> list[LabeledPhoto]:
    found = [photo for photo in photos if photo.path.is_file()]
    if not found:
        raise GalleryError(f"{file}: none of its {len(photos)} images is there, {photos[0].path if photos else 'none'}")
    return found
