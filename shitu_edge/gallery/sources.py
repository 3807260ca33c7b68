"""Where a gallery's pictures come from: a folder per label, or PaddleClas' label file."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ..errors import GalleryError


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture to enrol: its file, its label, and its name relative to where it was found."""

    path: Path
    label: str
    source: str


def find_pictures(source: Path, suffixes: Collection[str]) -> list[LabelledPicture]:
    """List the pictures of a folder with a subfolder per label, or of a label file.

    In a folder, pictures are the files whose name ends in one of `suffixes` (lower case), at any depth below the
    label's subfolder; hidden ones are passed over. A label file is UTF-8 text with a line `path<TAB>label` a picture,
    paths relative to it.

    Raises:
        GalleryError: the source is missing, a line has no tab, or there are no pictures at all.
    """
    if os.path.isdir(source):  # Path.is_dir raises for a name that is too long
        pictures = _from_folder(source, suffixes)
        expected = f"{source}: no pictures in it; expected a subfolder per label with {', '.join(sorted(suffixes))}"
    else:
        pictures = _from_label_file(source)
        expected = f"{source}: lists no pictures; expected a line path<TAB>label each"
    if not pictures:
        raise GalleryError(expected)
    return pictures


def _from_folder(folder: Path, suffixes: Collection[str]) -> list[LabelledPicture]:
    pictures = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in suffixes and len(relative.parts) > 1 and not hidden and path.is_file():
            pictures.append(LabelledPicture(path, relative.parts[0], relative.as_posix()))
    return pictures


def _from_label_file(file: Path) -> list[LabelledPicture]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GalleryError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GalleryError(f"{file}: is neither a folder nor UTF-8 text") from error
    pictures = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        path, tab, label = line.strip("\r").partition("\t")
        if not tab or not path.strip() or not label.strip():
            raise GalleryError(f"{file}, line {number}: expected path<TAB>label, found {line.strip()[:60]!r}")
        pictures.append(LabelledPicture(file.parent / path.strip(), label.strip(), path.strip()))
    return pictures


def picture_inside(folder: Path, source: str) -> Path | None:
    """Return the file of a picture that was found in a folder, by an item's source; None if it is none of its files.

    Sources come with galleries: one that is absolute, or climbs or is linked out of the folder, is not followed.
    """
    try:
        picture = Path(folder, source).resolve()
        inside = picture.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL, or links that go round
        return None
    return picture if source and inside and os.path.isfile(picture) else None
