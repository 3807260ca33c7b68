"""Images below a folder, and files that are skipped.

A file is an image by its name or its content; the decoder reports damage. Links are followed inside the folder. System
files (thumbnails, settings, trash) are ignored; all other skipped files are reported with a reason.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageError
from ..imaging.formats import HEAD_BYTES, image_format
from ..system.files import open_regular
from .skipped import Skipped, summary

_SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
        *(".avif", ".heic", ".heif", ".jp2", ".jxl"),
    ]
)
_LEFTOVERS = frozenset(
    [
        *("@eadir", "#recycle", "#snapshot", ".@__thumb", ".@__qini"),  # Synology, QNAP
        *("__macosx", ".trashes", ".spotlight-v100", ".fseventsd", ".temporaryitems", ".appledouble"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("lost+found", ".thumbnails", ".git"),
    ]
)
_LEFTOVERS_BEGIN = ("._", ".trash-", "synophoto_", "synofile_")


@dataclass(frozen=True, slots=True)
class Listing:
    """The images below a folder, sorted, as paths that begin with it, and skipped files relative to it."""

    images: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


def images_in(folder: str | os.PathLike[str]) -> Listing:
    """List the images below a folder, at any depth. Raises `ImageError` if there are none."""
    if not os.path.isdir(folder):
        raise ImageError(f"{os.fspath(folder)}: no such folder of images")
    found = list_images(Path(folder))
    if not found.images:
        raise ImageError("; ".join([f"{os.fspath(folder)}: no images in this folder", *summary(found.skipped)]))
    return found


def list_images(root: Path, start: Path = Path()) -> Listing:
    """List the images below the folder `start` of a folder; links are followed as far as they stay inside `root`."""
    walk = _Walk(root)
    walk.run(start)
    return Listing(tuple(root / name for name in sorted(walk.images)), tuple(walk.skipped))


def is_leftover(name: str) -> bool:
    """Return whether a name is that of a system file, which cannot be a product."""
    return name.lower() in _LEFTOVERS or name.lower().startswith(_LEFTOVERS_BEGIN)


def link_fault(root: Path, link: Path) -> str | None:
    """Return why a link below `root` is not followed; None if it is, or is not a link."""
    if not os.path.islink(link):
        return None
    target = Path(os.path.realpath(link))
    if not os.path.exists(target):  # Path.exists raises without permission
        return "is a broken link"
    if not target.is_relative_to(os.path.realpath(root)):
        return f"is a link out of {root}"
    if os.path.isdir(target) and Path(os.path.realpath(link.parent)).is_relative_to(target):
        return "is a link to its own parent folder"
    return None


class _Walk:
    """A walk through a folder that visits each folder once, links last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: set[str] = set()
        self._folders: deque[Path] = deque()
        self._links: deque[Path] = deque()
        self.images: list[Path] = []
        self.skipped: list[Skipped] = []

    def run(self, start: Path) -> None:
        self._folders.append(start)
        while self._folders or self._links:
            folder = self._folders.popleft() if self._folders else self._links.popleft()
            for entry in self._entries(folder):
                self._take(folder / entry.name, entry)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Yield a folder's entries by name; none if it was visited or cannot be read."""
        real = os.path.realpath(self._root / folder)
        if real in self._seen:
            self.skipped.append(Skipped(folder.as_posix(), "is a link to a folder already read"))
            return
        self._seen.add(real)
        try:
            with os.scandir(real) as entries:
                yield from sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.skipped.append(Skipped(folder.as_posix(), f"cannot be read: {error.strerror}"))

    def _take(self, name: Path, entry: os.DirEntry[str]) -> None:
        if is_leftover(entry.name):
            return
        path, hidden = self._root / name, entry.name.startswith(".")
        is_folder = os.path.isdir(path)
        fault = link_fault(self._root, path) or (None if is_folder else file_fault(path))
        if fault and hidden:  # of hidden files only images are reported
            return
        if fault or hidden:
            self.skipped.append(Skipped(name.as_posix(), fault or "is hidden"))
        elif is_folder:
            (self._links if entry.is_symlink() else self._folders).append(name)
        else:
            self.images.append(name)


def file_fault(path: Path) -> str | None:
    """Return why a file is not an image; None if it is one by its first bytes or its name."""
    if path.suffix.lower() in _SUFFIXES and os.path.isfile(path):
        return None
    try:
        with open_regular(path) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head:
        return "is empty"
    return None if image_format(head) else "is not an image"
