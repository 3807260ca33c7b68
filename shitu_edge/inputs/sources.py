"""Sources of a gallery's images: a folder per label, or a label file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import GalleryError, os_errors_as
from ..gallery.labels import normal_label
from ..system.text import as_gbk, printable, some
from .folders import file_fault, is_leftover, link_fault, list_images
from .label_file import read_label_file
from .skipped import Skipped, summary


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image to enroll: file, label, and path relative to the source."""

    path: Path
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Content of a folder or label file.

    Attributes:
        images: in the order of their names or lines; not decoded yet.
        labels: all labels, including those without an image.
        skipped: files that are not used, with the reason.
        notes: assumptions, a line each.
    """

    images: tuple[LabeledImage, ...]
    labels: frozenset[str]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def find_images(source: Path) -> FoundImages:
    """Find the images of a folder with a subfolder per label, or of a label file.

    In a folder, images may lie at any depth below the label's subfolder. If most subfolders hold images only deeper
    down, the level of the labels is unclear, and the folder is refused.

    Raises:
        GalleryError: the source is missing or not as described, a label is refused, or there are no images.
    """
    if os.path.isdir(source):  # Path.is_dir raises for a name that is too long
        return _from_folder(source)
    read = read_label_file(source)
    images = tuple(LabeledImage(source.parent / line.path, line.label, line.path) for line in read.lines)
    if not images:
        raise GalleryError(f"{source}: lists no images; expected lines of path<TAB>label")
    notes = () if read.header is None else (f"{source}: the first line is read as a header: {read.header}",)
    return FoundImages(images, frozenset(image.label for image in images), notes=notes)


def _from_folder(folder: Path) -> FoundImages:
    subfolders, skipped = _top(folder)
    labels = {name: _label(folder, name) for name in subfolders}
    images: list[LabeledImage] = []
    flat: list[str] = []
    deep: list[str] = []
    for name, label in labels.items():
        if fault := link_fault(folder, folder / name):
            skipped.append(Skipped(name, fault))
            continue
        found = list_images(folder, Path(name))
        images += [LabeledImage(path, label, path.relative_to(folder).as_posix()) for path in found.images]
        skipped += found.skipped
        if found.images:
            (flat if any(path.parent == folder / name for path in found.images) else deep).append(name)
    if not images:
        raise GalleryError("; ".join([f"{folder}: no images in it; expected a subfolder per label", *summary(skipped)]))
    if len(deep) > len(flat):
        raise _ambiguous(folder, deep, images)
    notes = (f"{some(deep)}: all images lie in subfolders; the label is that of the folder",) if deep else ()
    return FoundImages(tuple(images), frozenset(labels.values()), tuple(skipped), notes)


def _top(folder: Path) -> tuple[list[str], list[Skipped]]:
    """Return the subfolders of a folder, which are its labels, and its other files."""
    with os_errors_as(GalleryError, folder):
        names = sorted(name for name in os.listdir(folder) if not is_leftover(name))
    subfolders = [name for name in names if os.path.isdir(folder / name) and not name.startswith(".")]
    return subfolders, list(_loose(folder, sorted({*names} - {*subfolders})))


def _loose(folder: Path, names: list[str]) -> Iterator[Skipped]:
    for name in names:
        if os.path.isdir(folder / name):
            yield Skipped(name, "is hidden")
            continue
        fault = link_fault(folder, folder / name) or file_fault(folder / name)
        if fault is None:
            yield Skipped(name, "is not in a subfolder named after its label")
        elif not name.startswith("."):
            yield Skipped(name, fault)


def _label(folder: Path, name: str) -> str:
    try:
        return normal_label(name, os.fspath(folder / name))
    except GalleryError as error:
        if printable(name) == name or not as_gbk(os.fsencode(name)):
            raise
        raise GalleryError(f"{error}; rename it, or all: convmv -f GBK -t UTF-8 -r --notest {folder}") from error


def _ambiguous(folder: Path, deep: list[str], images: list[LabeledImage]) -> GalleryError:
    labels = "1 label" if len(deep) == 1 else f"{len(deep)} labels"
    above = images[0].path.parent.parent
    return GalleryError(
        f"{folder}: images lie in nested folders, such as {images[0].source}; the upper folders would give {labels} "
        f"({some(deep)}). Name the folder that holds one folder per label, such as {above}, or a label file"
    )
