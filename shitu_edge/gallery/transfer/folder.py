"""A gallery as a folder of files that other programs can read.

    gallery.json      the extractor's name and fingerprint, and the dimension
    labels.tsv        a line `image<TAB>label` per item; tabs and line breaks in an image's name as %09, %0A, %0D;
                      fields that begin with a quote are quoted as in CSV
    embeddings.npy    unit rows (N, D) float32, in the order of the lines
    images/           the images, if requested and found
    origins.jsonl     how items were made, and pictures/, if any was kept (`folder_origins.py`)

With images, `labels.tsv` is a label file for `gallery build` with another extractor. An item whose image is missing has
the picture there that the gallery keeps.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from io import BufferedReader
from itertools import zip_longest
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError, os_errors_as
from ...ranges import shown
from ...schema import build
from ...system.files import file_inside, open_regular, read_json
from ...system.text import columns, printable
from ..gallery import Gallery
from ..index import Progress
from ..labels import normal_label
from ..store import GalleryItem, Meta, NewGalleryItem, Origin
from .folder_origins import ORIGINS, read_origins, write_origin
from .intake import take_in

FACTS, LABELS, EMBEDDINGS, IMAGES = "gallery.json", "labels.tsv", "embeddings.npy", "images"
_AT_ONCE = 1000
_ORIGINS_AT_ONCE = 50
_SUFFIX = 10
_MOST_FACTS, _MOST_LINE, _MOST_TRANSPOSED = 1 << 16, 1 << 20, 1 << 30
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How many items were exported with their image, and how many others with the picture that the gallery keeps."""

    images: int
    pictures: int


def export_folder(
    gallery: Gallery, folder: Path, *, images: Path | None = None, progress: Progress | None = None
) -> Exported:
    """Write a gallery's current items into a new folder.

    Args:
        gallery: the gallery.
        folder: output folder; must not exist.
        images: folder of the items' sources, which are copied; None copies none. For sources outside of it or missing,
            the picture that the gallery keeps is written; without one they stay names.
        progress: called with the items written and the total.

    Raises:
        GalleryError: the folder exists or cannot be written.
    """
    with os_errors_as(GalleryError, folder, "cannot be created"):
        folder.mkdir()
    try:
        return _fill(folder, gallery, images, progress)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise GalleryError(f"{folder}: cannot be written: {error.strerror}") from error
        raise


def _fill(folder: Path, gallery: Gallery, images: Path | None, progress: Progress | None) -> Exported:
    items = gallery.items()
    copied = kept = 0
    facts = json.dumps(asdict(gallery.meta), ensure_ascii=False, indent=2)
    (folder / FACTS).write_text(facts + "\n", encoding="utf-8")
    with (folder / LABELS).open("w", encoding="utf-8", newline="") as lines, (folder / EMBEDDINGS).open("wb") as rows:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(items), gallery.meta.dim)}
        np.lib.format.write_array_header_1_0(rows, header)
        for start in range(0, len(items), _AT_ONCE):
            some = items[start : start + _AT_ONCE]
            rows.write(gallery.embeddings([item.id for item in some]).astype("<f4", copy=False).tobytes())
            pictures = _write_origins(folder, gallery, some, start + 1, with_pictures=images is not None)
            for item in some:
                copy = _copy(item, images, folder) if images else None
                picture = None if copy else pictures.get(item.id)
                copied += copy is not None
                kept += picture is not None
                lines.write(f"{_quoted(_escaped(copy or picture or item.source))}\t{_quoted(item.label)}\n")
            if progress:
                progress(start + len(some), len(items))
    return Exported(copied, kept)


def _write_origins(
    folder: Path, gallery: Gallery, items: list[GalleryItem], line: int, *, with_pictures: bool
) -> dict[int, str]:
    """Write the origins of items, the first of which is in this line; return the names of their pictures by id."""
    names = {}
    numbers = {item.id: line + place for place, item in enumerate(items)}
    for start in range(0, len(items), _ORIGINS_AT_ONCE):
        some = [item.id for item in items[start : start + _ORIGINS_AT_ONCE]]
        for number, origin in gallery.origins(some).items():
            name = write_origin(folder, numbers[number], number, origin, picture=with_pictures)
            if name:
                names[number] = name
    return names


def import_folder(folder: Path, path: Path, *, author: str = "", note: str = "") -> int:
    """Add the items of an exported folder to a gallery, created if missing; return their number.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        GalleryError: a file of the folder is missing or damaged, or an item is refused.
    """
    meta = _meta(folder / FACTS)
    with ExitStack() as files:
        rows = _rows(_opened(folder / EMBEDDINGS, files), folder / EMBEDDINGS, meta.dim)
        lines = _lines(_opened(folder / LABELS, files), folder / LABELS)
        note = note or f"imported from {folder.name}"
        items = _items(folder, lines, rows, files.enter_context(closing(read_origins(folder))))
        return take_in(path, meta, items, author=author, note=note)


def _items(
    folder: Path,
    lines: Iterator[tuple[str, str]],
    rows: Iterator[NDArray[np.float32]],
    origins: Iterator[tuple[int, Origin]],
) -> Iterator[NewGalleryItem]:
    made = next(origins, None)
    for number, (line, row) in enumerate(zip_longest(lines, rows), start=1):
        if line is None or row is None:
            more, fewer = (EMBEDDINGS, LABELS) if line is None else (LABELS, EMBEDDINGS)
            raise GalleryError(f"{folder}: expected as many lines as embeddings, found more in {more} than in {fewer}")
        is_next = made is not None and made[0] == number
        yield NewGalleryItem(line[1], line[0], row, made[1] if made and is_next else None)
        made = next(origins, None) if is_next else made
    if made:
        raise GalleryError(f"{folder}: {ORIGINS} names line {made[0]} of {LABELS}, which has fewer")


def _opened(path: Path, files: ExitStack) -> BufferedReader:
    with os_errors_as(GalleryError, path):
        return files.enter_context(open_regular(path))


def _rows(stream: BufferedReader, path: Path, dim: int) -> Iterator[NDArray[np.float32]]:
    """Check the header of a .npy file and return its rows, read some at a time."""
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):  # headers of other versions may have any length
            raise ValueError(f"format {version}")
        shape, transposed, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # NumPy raises a dozen kinds for damaged headers
        problem = " ".join(str(error).split())
        raise GalleryError(f"{path}: expected float32 rows as NumPy saves them: {problem:.200}") from error
    size = os.fstat(stream.fileno()).st_size - stream.tell()
    if dtype != np.float32 or len(shape) != 2 or shape[1] != dim or not 0 <= 4 * dim * shape[0] <= size:
        found = f"{shown(dtype)} {shown(shape)} and {size} bytes"
        raise GalleryError(f"{path}: expected float32 (N, {dim}) and their bytes, found {found}")
    if transposed and size > _MOST_TRANSPOSED:
        raise GalleryError(f"{path}: expected rows in C order, found {size} bytes in Fortran order")
    return _read_rows(stream, path, shape[0], dim, transposed)


def _read_rows(
    stream: BufferedReader, path: Path, count: int, dim: int, transposed: bool
) -> Iterator[NDArray[np.float32]]:
    if transposed:  # a row is spread over the whole file
        yield from np.frombuffer(_read(stream, path, 4 * dim * count), "<f4").reshape(dim, count).T
        return
    for start in range(0, count, _AT_ONCE):
        some = min(_AT_ONCE, count - start)
        yield from np.frombuffer(_read(stream, path, 4 * dim * some), "<f4").reshape(some, dim)


def _read(stream: BufferedReader, path: Path, size: int) -> bytes:
    with os_errors_as(GalleryError, path):
        content = stream.read(size)
    if len(content) < size:
        raise GalleryError(f"{path}: is truncated")
    return content


def _copy(item: GalleryItem, images: Path, folder: Path) -> str | None:
    """Copy an item's image and return its new name, None without an image."""
    source = file_inside(images, item.source)
    if source is None:
        return None
    name = PurePosixPath(IMAGES) / f"{item.id}{PurePath(item.source).suffix[:_SUFFIX]}"
    (folder / IMAGES).mkdir(exist_ok=True)
    shutil.copyfile(source, folder / name)
    return str(name)


def _meta(path: Path) -> Meta:
    try:
        meta = build(Meta, read_json(path, _MOST_FACTS))
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise GalleryError(f"{path}: is not from `gallery export`: {error}") from error
    if printable(meta.extractor + meta.fingerprint) != meta.extractor + meta.fingerprint:
        raise GalleryError(f"{path}: is not Unicode text")
    return meta


def _lines(stream: BufferedReader, path: Path) -> Iterator[tuple[str, str]]:
    """Yield the source and the label of each line."""
    number = 0
    try:
        for line in iter(lambda: stream.readline(_MOST_LINE + 1), b""):
            number += 1
            source, *more = columns(line.decode().removesuffix("\n")) or [""]
            if not more or len(line) > _MOST_LINE:
                raise GalleryError(f"{path}, line {number}: expected image<TAB>label, found {shown(source)}")
            yield _unescaped(source), normal_label(more[0], f"{path}, line {number}")
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GalleryError(f"{path}, line {number}: is not UTF-8 text") from error


def _escaped(source: str) -> str:
    """Escape what would end a field as %XX, and a % that would read as such an escape."""
    return re.sub(r"[\t\n\r]|%(?=09|0A|0D|25)", lambda found: f"%{ord(found[0]):02X}", source)


def _quoted(field: str) -> str:
    """Quote a field that would read as quoted."""
    return '"{}"'.format(field.replace('"', '""')) if field.startswith('"') else field


def _unescaped(source: str) -> str:
    return re.sub(r"%(09|0A|0D|25)", lambda found: chr(int(found[1], 16)), source)
