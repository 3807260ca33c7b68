"""Pascal VOC's annotations: an XML file per image."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path

from ...errors import GalleryError
from ...gallery.labels import normal_label
from ...system.files import read_bounded
from ..folders import images_in, list_images
from ..skipped import Skipped
from .labeled import Annotations, LabeledBox, LabeledPhoto

_MOST_BYTES = 1 << 20


def has_voc_files(folder: Path) -> bool:
    """Return whether a folder has XML files, in `Annotations/` or beside images."""
    return next(_files(folder), None) is not None


def has_voc(folder: Path) -> bool:
    """Return whether a folder has XML files of which one belongs to an image."""
    names = {file.stem for file in _files(folder)}
    return bool(names) and any(path.stem in names for path in list_images(folder).images)


def read_voc(folder: Path) -> Annotations:
    """Read a folder that `has_voc`.

    Raises:
        GalleryError: a file is not an annotation, belongs to several images, or none belongs to an image.
    """
    images: dict[str, list[Path]] = {}
    listing = images_in(folder)
    for path in listing.images:
        images.setdefault(path.stem, []).append(path)
    photos = []
    files = list(dict.fromkeys(_files(folder)))
    for file in files:
        found = images.get(file.stem, [])
        if len(found) > 1:
            raise GalleryError(f"{file}: belongs to {found[0]} or {found[1]}; give each image a name of its own")
        for path in found:
            photos.append(LabeledPhoto(path, path.relative_to(folder).as_posix(), None, _boxes(file)))
    if not photos:
        raise GalleryError(f"{folder}: no image belongs to its XML files: expected FILE.jpg for FILE.xml")
    skipped = [one for one in listing.skipped if Path(one.source).suffix.lower() != ".xml"]
    used = {photo.path for photo in photos}
    skipped += [
        Skipped(path.relative_to(folder).as_posix(), "has no annotation") for path in listing.images if path not in used
    ]
    skipped += [Skipped(file.name, "belongs to no image") for file in files if file.stem not in images]
    return Annotations(tuple(photos), tuple(skipped))


def _files(folder: Path) -> Iterator[Path]:
    for place in (folder / "Annotations", folder, folder.parent / "Annotations"):
        if place.is_dir():
            yield from sorted(place.glob("*.xml"))


def _boxes(file: Path) -> tuple[LabeledBox, ...]:
    text = _text(file)
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


def _text(file: Path) -> str:
    try:
        return read_bounded(file, _MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise GalleryError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GalleryError(f"{file}: is not UTF-8 text") from error
