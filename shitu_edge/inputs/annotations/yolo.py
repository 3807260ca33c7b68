"""YOLO's annotations: a text file per image, and the names of the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from ...errors import GalleryError
from ...gallery.labels import normal_label
from ..folders import images_in, list_images
from ..skipped import Skipped
from ..text_file import TextFile, read_text_file
from .labeled import Annotations, LabeledBox, LabeledPhoto

_MOST_BYTES = 16 << 20


def has_yolo_classes(folder: Path) -> bool:
    """Return whether a folder, or the one with its `labels/`, has a file with class names."""
    return _classes_file(folder) is not None


def has_yolo(folder: Path) -> bool:
    """Return whether a folder has class names and an image with annotations."""
    return has_yolo_classes(folder) and any(map(_boxes_file, list_images(folder).images))


def read_yolo(folder: Path) -> Annotations:
    """Read a folder that `has_yolo`.

    Raises:
        GalleryError: a line is not `class cx cy w h`, a class has no name, or no image has annotations.
    """
    file = _classes_file(folder)
    if file is None:
        raise GalleryError(f"{folder}: has no classes.txt")
    text = read_text_file(file, _MOST_BYTES)
    names = _class_names(file, text)
    listing = images_in(folder)
    photos = []
    skipped = [one for one in listing.skipped if Path(one.source).suffix.lower() not in (".txt", ".yaml", ".yml")]
    for path in listing.images:
        source = path.relative_to(folder).as_posix()
        found = _boxes_file(path)
        if found is None:
            skipped.append(Skipped(source, "has no annotation"))
        else:
            photos.append(LabeledPhoto(path, source, None, _boxes(found, names), relative=True))
    if not photos:
        raise GalleryError(f"{folder}: no image has a label file: expected FILE.txt beside FILE.jpg, or in labels/")
    return Annotations(tuple(photos), tuple(skipped), text.notes)


def _classes_file(folder: Path) -> Path | None:
    for name in ("classes.txt", "obj.names", "data.yaml", "data.yml"):
        for place in (folder, folder.parent):
            file = place / name
            if file.is_file() and (place == folder or (folder / "labels").is_dir()):
                return file
    return None


def _class_names(file: Path, text: TextFile) -> dict[int, str]:
    if file.suffix in (".yaml", ".yml"):
        return {number: normal_label(name, str(file)) for number, name in _yaml_names(file, text.lines)}
    names = filter(None, (line.strip() for line in text.lines))
    return {number: normal_label(name, str(file)) for number, name in enumerate(names)}


def _yaml_names(file: Path, text: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield `names` of a data.yaml, a list or a mapping of numbers, without a YAML library."""
    lines = [line.partition(" #")[0] for line in text if not line.lstrip().startswith("#")]
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


def _boxes_file(image: Path) -> Path | None:
    beside = image.with_suffix(".txt")
    parts = list(image.parts)
    candidates = [beside]
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        candidates.append(Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt"))
    candidates.append(image.parent / "labels" / beside.name)
    return next((file for file in candidates if file.is_file()), None)


def _boxes(file: Path, names: Mapping[int, str]) -> tuple[LabeledBox, ...]:
    boxes = []
    lines = read_text_file(file, _MOST_BYTES).lines
    for number, cells in enumerate((line.split() for line in lines if line.strip()), 1):
        try:
            label = names[int(cells[0])]
            x, y, wide, high = map(float, cells[1:5])
            boxes.append(LabeledBox((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), label))
        except (LookupError, ValueError) as error:
            raise GalleryError(
                f"{file}, line {number}: expected `class cx cy w h` of one of {len(names)} classes"
            ) from error
    return tuple(boxes)
