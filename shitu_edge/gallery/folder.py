"""A gallery as a folder of files that other programs read.

    gallery.json      the extractor's name and fingerprint, and the dimension
    labels.tsv        a line `picture<TAB>label` an item; tabs and line breaks in a picture's name as %09, %0A, %0D
    embeddings.npy    unit rows (N, D) float32, in the order of the lines
    pictures/         the pictures, where they were asked for and found

With its pictures, `labels.tsv` is a label file that `gallery build` takes, for any other extractor.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import GalleryError
from ..schema import SchemaError, build
from .gallery import Gallery
from .index import Progress
from .intake import take_in
from .sources import picture_inside
from .store import Entry, Meta, NewItem
from .store.changes import printable

FACTS, LABELS, EMBEDDINGS, PICTURES = "gallery.json", "labels.tsv", "embeddings.npy", "pictures"
_AT_ONCE = 1000
_SUFFIX = 10


def export_folder(
    gallery: Gallery, folder: Path, *, pictures: Path | None = None, progress: Progress | None = None
) -> int:
    """Write a gallery's current items into a new folder and return how many pictures are among them.

    Args:
        gallery: the gallery.
        folder: is made, and must not be there.
        pictures: where the items' sources are found; none are copied when None. Sources that lead out of it, or to
            nothing, stay names.
        progress: called with the items written and the total.

    Raises:
        GalleryError: the folder is there already or cannot be written.
    """
    try:
        folder.mkdir()
    except OSError as error:
        raise GalleryError(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        return _fill(folder, gallery, pictures, progress)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise GalleryError(f"{folder}: cannot be written: {error.strerror}") from error
        raise


def _fill(folder: Path, gallery: Gallery, pictures: Path | None, progress: Progress | None) -> int:
    entries = gallery.entries()
    copied = 0
    facts = json.dumps(asdict(gallery.meta), ensure_ascii=False, indent=2)
    (folder / FACTS).write_text(facts + "\n", encoding="utf-8")
    with (folder / LABELS).open("w", encoding="utf-8", newline="") as lines, (folder / EMBEDDINGS).open("wb") as rows:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(entries), gallery.meta.dim)}
        np.lib.format.write_array_header_1_0(rows, header)
        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            rows.write(gallery.embeddings([entry.id for entry in some]).astype("<f4", copy=False).tobytes())
            for entry in some:
                copy = _copy(entry, pictures, folder) if pictures else None
                copied += copy is not None
                lines.write(f"{_escaped(copy or entry.source)}\t{entry.label}\n")
            if progress:
                progress(start + len(some), len(entries))
    return copied


def import_folder(folder: Path, path: Path, *, author: str = "", note: str = "") -> int:
    """Add the items of an exported folder to a gallery, which is made where there is none; return how many they were.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        GalleryError: a file of the folder is missing or damaged, or an item is refused.
    """
    meta = _meta(folder / FACTS)
    try:
        rows = np.load(folder / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy lets a dozen kinds out of a header that is damaged
        raise GalleryError(f"{folder / EMBEDDINGS}: cannot be read: {error}") from error
    lines = list(_lines(folder / LABELS))
    if getattr(rows, "dtype", None) != np.float32 or rows.shape != (len(lines), meta.dim):
        found = f"{getattr(rows, 'dtype', 'no array')} {getattr(rows, 'shape', '')}"
        raise GalleryError(f"{folder / EMBEDDINGS}: expected float32 ({len(lines)}, {meta.dim}), found {found}")
    items = (NewItem(label, source, row) for (source, label), row in zip(lines, rows, strict=True))
    return take_in(path, meta, items, author=author, note=note or f"imported from {folder.name}")


def _copy(entry: Entry, pictures: Path, folder: Path) -> str | None:
    """Copy an item's picture and return its new name, None where there is none."""
    picture = picture_inside(pictures, entry.source)
    if picture is None:
        return None
    name = PurePosixPath(PICTURES) / f"{entry.id}{PurePosixPath(entry.source).suffix[:_SUFFIX]}"
    (folder / PICTURES).mkdir(exist_ok=True)
    shutil.copyfile(picture, folder / name)
    return str(name)


def _meta(path: Path) -> Meta:
    try:
        meta = build(Meta, json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    except (SchemaError, ValueError, RecursionError) as error:
        raise GalleryError(f"{path}: is not what `gallery export` writes: {error}") from error
    if printable(meta.extractor + meta.fingerprint) != meta.extractor + meta.fingerprint:
        raise GalleryError(f"{path}: is no Unicode text")
    return meta


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            text = stream.read()
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GalleryError(f"{path}: is no UTF-8 text") from error
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        source, tab, label = line.partition("\t")
        if not tab:
            raise GalleryError(f"{path}, line {number}: expected picture<TAB>label, found {line[:60]!r}")
        yield _unescaped(source), label


def _escaped(source: str) -> str:
    """Put %XX for what would end a field, and for a % that would then be taken for one of these."""
    return re.sub(r"[\t\n\r]|%(?=09|0A|0D|25)", lambda found: f"%{ord(found[0]):02X}", source)


def _unescaped(source: str) -> str:
    return re.sub(r"%(09|0A|0D|25)", lambda found: chr(int(found[1], 16)), source)
