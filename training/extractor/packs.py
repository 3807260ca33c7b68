"""A pack: images decoded once, squeezed to squares of one size, with a label each, as two arrays on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..detector.photos import read_rgb
from ..progress import Progress

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
PIXELS, LABELS, NAMES = "crops.npy", "labels.npy", "names.json"


@dataclass(frozen=True, slots=True)
class Pack:
    """Images and what they show.

    Attributes:
        folder: where it lies.
        pixels_rgb: uint8 (N, S, S, 3), read from disk as needed.
        labels: int32 (N,).
        names: what the labels are called, if they are called anything.
    """

    folder: Path
    pixels_rgb: NDArray[np.uint8]
    labels: NDArray[np.int32]
    names: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> Pack:
        """Open a pack.

        Raises:
            ValueError: the folder holds none, or its arrays do not belong together.
        """
        if not (folder / PIXELS).is_file():
            raise ValueError(f"{folder}: no pack of images: {PIXELS} is missing; `python -m training pack` makes one")
        pixels = np.load(folder / PIXELS, mmap_mode="r")
        labels = np.load(folder / LABELS)
        if pixels.ndim != 4 or pixels.shape[0] != len(labels) or pixels.dtype != np.uint8:
            raise ValueError(f"{folder}: {len(labels)} labels for images of shape {pixels.shape}")
        names = json.loads((folder / NAMES).read_bytes()) if (folder / NAMES).is_file() else ()
        return cls(folder, pixels, labels, tuple(names))

    def __len__(self) -> int:
        return len(self.labels)

    def by_label(self) -> list[NDArray[np.int64]]:
        """Return the rows of each label, in the labels' order."""
        order = np.argsort(self.labels, kind="stable")
        starts = np.flatnonzero(np.diff(self.labels[order])) + 1
        return np.split(order, starts)


def image_files(folders: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the images below folders by name, and for each the name of the folder that it lies in: its product.

    Raises:
        ValueError: a folder holds none.
    """
    found = []
    for folder in folders:
        inside = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not inside:
            raise ValueError(f"{folder}: no images in this folder")
        found += [(path, path.parent.name) for path in inside]
    return found


def pack_images(folders: Sequence[Path], out: Path, side: int, each_its_own: bool, progress: Progress) -> Pack:
    """Read the images of folders into a pack.

    Args:
        folders: a subfolder per product, of any depth; a product may have images in several folders.
        out: the pack's folder.
        side: of the stored images, in pixels; their aspect ratio is not kept, as in PP-ShiTu.
        each_its_own: take every image for a thing of its own instead of its folder's product.
        progress: called with the images done and in all.

    Raises:
        ValueError: there are no images, or one cannot be read.
    """
    found = image_files(folders)
    names = [str(path) for path, _ in found] if each_its_own else sorted({name for _, name in found})
    number = {name: index for index, name in enumerate(names)}
    out.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(out / PIXELS, "w+", np.uint8, (len(found), side, side, 3))
    labels = np.empty(len(found), np.int32)
    for index, (path, name) in enumerate(found):
        pixels[index] = cv2.resize(read_rgb(path), (side, side), interpolation=cv2.INTER_AREA)
        labels[index] = number[str(path) if each_its_own else name]
        progress(index + 1, len(found))
    pixels.flush()
    np.save(out / LABELS, labels)
    (out / NAMES).write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
    return Pack.open(out)
