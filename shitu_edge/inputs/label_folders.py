"""Folders whose names are the labels of the images in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from ..errors import GalleryError, os_errors_as
from ..gallery.labels import normal_label
from ..system.text import as_gbk, printable, some
from .folders import file_fault, is_leftover, link_fault, list_images
from .found import FoundImages, LabeledImage
from .skipped import Skipped, summary

LabelFrom = Literal["parent", "top", "path"]
JOINED = " / "
"""Between the folders of a label."""


def from_folder(folder: Path, label_from: LabelFrom | None) -> FoundImages:
    """Find the images below a folder; see `find_images`."""
    level: LabelFrom = label_from or "top"
    subfolders, skipped = _top(folder)
    paths: list[Path] = []
    leaves = [Path(name) for name in subfolders] if level == "top" else []
    for name in subfolders:
        if fault := link_fault(folder, folder / name):
            skipped.append(Skipped(name, fault))
            continue
        found = list_images(folder, Path(name))
        paths += [path.relative_to(folder) for path in found.images]
        skipped += found.skipped
        leaves += _empty_folders(folder, name) if level != "top" else []
    labels = _labels(folder, [*leaves, *(path.parent for path in paths)], level)
    if not paths:
        raise GalleryError("; ".join([f"{folder}: no images in it; expected a subfolder per label", *summary(skipped)]))
    notes = () if label_from else _deep_note(folder, paths)
    images = tuple(LabeledImage(folder / path, labels[_parts(path.parent, level)], path.as_posix()) for path in paths)
    return FoundImages(images, frozenset(labels.values()), tuple(skipped), notes)


def _labels(folder: Path, leaves: Iterable[Path], level: LabelFrom) -> dict[tuple[str, ...], str]:
    """Return the label by its folders, of what lies in these folders."""
    labels: dict[tuple[str, ...], str] = {}
    for leaf in leaves:
        parts = _parts(leaf, level)
        if parts not in labels:
            labels[parts] = _label(folder, leaf, parts)
    return labels


def _parts(leaf: Path, level: LabelFrom) -> tuple[str, ...]:
    """Return the folders that make up the label of what lies in a folder."""
    if level == "path":
        return leaf.parts
    return leaf.parts[-1:] if level == "parent" else leaf.parts[:1]


def _deep_note(folder: Path, paths: list[Path]) -> tuple[str, ...]:
    """Return a note on labels that have images only in subfolders; if these are most, the level is unclear."""
    flat = {path.parts[0] for path in paths if len(path.parts) == 2}
    deep = [name for name in dict.fromkeys(path.parts[0] for path in paths) if name not in flat]
    if len(deep) > len(flat):
        raise _ambiguous(folder, deep, paths[0])
    return (f"{some(deep)}: all images lie in subfolders; the label is that of the folder",) if deep else ()


def _ambiguous(folder: Path, deep: list[str], example: Path) -> GalleryError:
    labels = "1 label" if len(deep) == 1 else f"{len(deep)} labels"
    above = folder.joinpath(*example.parts[:-2])
    levels: tuple[LabelFrom, ...] = ("parent", "top", "path")
    choices = ", ".join(f"{level} gives {JOINED.join(_parts(example.parent, level))!r}" for level in levels)
    return GalleryError(
        f"{folder}: images lie in nested folders, such as {example.as_posix()}; the upper folders would give {labels} "
        f"({some(deep)}). Name a folder that holds one folder per label, such as {above}, or use --label-from "
        f"(label_from=) in `gallery build` or `add`: {choices}"
    )


def _empty_folders(folder: Path, name: str) -> list[Path]:
    """Return the folders below a subfolder, relative to `folder`, that hold nothing but system files."""
    empty = []
    for place, folders, files in os.walk(folder / name):
        folders[:] = [one for one in sorted(folders) if not is_leftover(one) and not one.startswith(".")]
        if not folders and not any(not is_leftover(one) and not one.startswith(".") for one in files):
            empty.append(Path(place).relative_to(folder))
    return empty


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


def _label(folder: Path, leaf: Path, names: tuple[str, ...]) -> str:
    try:
        return normal_label(JOINED.join(names), os.fspath(folder / leaf))
    except GalleryError as error:
        if not any(printable(name) != name and as_gbk(os.fsencode(name)) for name in names):
            raise
        raise GalleryError(f"{error}; rename it, or all: convmv -f GBK -t UTF-8 -r --notest {folder}") from error
