"""A gallery for another extractor: every item embedded again, from its kept picture or its source image."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EmbeddingError, GalleryError, ImageError, OptionError, os_errors_as
from ..gallery import Gallery, GalleryItem, Meta, Origin
from ..gallery.care.generation import read_past, write_generation
from ..gallery.store.past import Past
from ..inputs.skipped import Skipped, summary
from ..recognizer import Recognizer
from ..system.digest import file_sha256
from ..system.files import file_inside
from ..system.progress import StepProgress
from ..system.unfinished import replace, unfinished
from ..system.workers import Workers
from .enroll import bring_up_to_date, refuse_in_use
from .rows_file import RowsFile

_AT_ONCE = 64
_OF_THE_OLD_EXTRACTOR = ("queries/",)
"""Settings whose embeddings another extractor cannot use."""
_NO_PICTURE = "has no picture, and its image is not there"
_NO_CROP = "does not say how it was cut; state --crop or --no-crop"
_MARK = 8
"""Hexadecimal digits of a fingerprint in the name of a kept generation."""


class MissingPicturesError(GalleryError):
    """Items cannot be embedded again; `missing` says which and why."""

    def __init__(self, path: Path, missing: Sequence[Skipped]) -> None:
        self.missing = tuple(missing)
        shown = "; ".join(summary(missing)[:3])
        super().__init__(
            f"{path}: {len(missing)} items cannot be embedded again: {shown}. Name the folder of the images "
            "(--images), or leave these items out (--drop-missing)"
        )


@dataclass(frozen=True, slots=True)
class ReEmbedding:
    """Result: items embedded again, how many of them from their kept pictures, items left out, and the old generation.

    `reused`: items whose embedding an earlier run or an earlier generation of the same extractor had.
    """

    items: int
    from_pictures: int
    reused: int
    left_out: tuple[Skipped, ...]
    kept: Path


def re_embed(
    recognizer: Recognizer,
    path: str | os.PathLike[str],
    *,
    images: Path | None = None,
    crop: bool | None = None,
    drop_missing: bool = False,
    progress: StepProgress | None = None,
) -> ReEmbedding:
    """Embed a gallery's items again, with another extractor: ids, labels, log and authors stay.

    The gallery is searched and changed as before until all is embedded; what was done survives a kill and is not done
    twice. Then the new generation takes the gallery's place, atomically, and the old one is kept next to it.
    Re-embedding for the old extractor brings it back, with what has changed since.

    Args:
        recognizer: of the other bundle.
        path: the gallery's file.
        images: folder of the items' sources, which are used if they are there and unchanged; else the kept pictures.
        crop: for items that do not say how they were cut: True for the product that the detector finds, False for the
            whole image; None leaves them missing.
        drop_missing: leave out items that cannot be embedded, from all revisions.
        progress: called with the steps `images` and `index`.

    Raises:
        MissingPicturesError: items cannot be embedded, and `drop_missing` is false.
        GalleryError: the gallery has this extractor, is open elsewhere when all is embedded, or cannot be written.
    """
    path = Path(path)
    spec = recognizer.bundle.manifest.extractor
    meta = Meta(spec.network.name, spec.fingerprint, spec.dim)
    with Gallery.open(path, background=False) as gallery:
        rows_path = _generation(path, f"{meta.fingerprint[:_MARK]}.rows")
        if gallery.meta.fingerprint == meta.fingerprint:
            rows_path.unlink(missing_ok=True)  # of a run that was killed when all was done
            raise GalleryError(f"{path}: is made with extractor {meta.extractor} ({meta.fingerprint[:_MARK]}) already")
        maker = _Maker(recognizer, gallery, images, crop)
        kept = _generation(path, gallery.meta.fingerprint[:_MARK])
        with RowsFile(rows_path, gallery.history.id, meta) as rows:
            _take_over(path, gallery.history.id, meta, rows)
            reused = len(rows.rows)
            past = _embed_all(maker, gallery, rows, progress)
            missing = maker.missing(past)
            if missing and not drop_missing:
                raise MissingPicturesError(path, missing)
            with unfinished(path) as partial:
                write_generation(path, past, partial, meta, rows.rows, _OF_THE_OLD_EXTRACTOR)
                gallery.close()
                _switch(path, partial, kept, past)
            rows.delete()
    earlier = _generation(path, meta.fingerprint[:_MARK])
    if earlier.is_file():  # of the same extractor, and older
        earlier.unlink()
    with Gallery.open(path, background=False) as gallery:
        with suppress(GalleryError):  # somebody is writing already; the next index drops them
            gallery.index.drop_stale()
        bring_up_to_date(gallery, recognizer.threads, progress)
    return ReEmbedding(len(rows.rows), len(maker.pictured), reused, tuple(missing), kept)


def kept_generations(path: Path) -> list[Path]:
    """Return the earlier generations of a gallery, which a re-embedding has kept."""
    ours = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{{_MARK}}}")
    with os_errors_as(GalleryError, path.parent):
        return sorted(file for file in path.absolute().parent.iterdir() if ours.fullmatch(file.name))


def _generation(path: Path, mark: str) -> Path:
    return path.with_name(f"{path.name}.{mark}")


def _switch(path: Path, new: Path, kept: Path, past: Past) -> None:
    """Put a new generation in the place of the old one, which gets another name.

    Raises:
        GalleryError: the old one is open, has changed since, or cannot be renamed.
    """
    refuse_in_use(path)
    with Gallery.open(path, background=False) as gallery:
        if gallery.history.log()[0] != past.log[-1]:
            raise GalleryError(f"{path}: was changed while it was embedded; run the command again")
    refuse_in_use(path)
    with os_errors_as(GalleryError, kept, "cannot be written"):
        kept.unlink(missing_ok=True)
        try:
            os.link(path, kept)
        except (PermissionError, NotImplementedError):  # a file system without links
            shutil.copy2(path, kept)
        replace(new, path)


def _take_over(path: Path, gallery_id: str, meta: Meta, rows: RowsFile) -> None:
    """Take the embeddings that an earlier generation of the same extractor has."""
    earlier = _generation(path, meta.fingerprint[:_MARK])
    if not earlier.is_file():
        return
    with suppress(GalleryError), Gallery.open(earlier, background=False) as gallery:  # a damaged one is made again
        if (gallery.history.id, gallery.meta.fingerprint) == (gallery_id, meta.fingerprint):
            ids = [item for item in read_past(earlier).items if item not in rows.rows]
            for item, row in zip(ids, gallery.embeddings(ids), strict=True):
                rows.add(item, row)


def _embed_all(maker: _Maker, gallery: Gallery, rows: RowsFile, progress: StepProgress | None) -> Past:
    """Embed all items, also those that are added meanwhile; return the past they belong to."""
    while True:
        past = read_past(gallery.path)
        items = past.items
        todo = [
            item for number, item in sorted(items.items()) if number not in rows.rows and number not in maker.faults
        ]
        if not todo:
            return past
        done = len(items) - len(todo)
        for item, row in maker.embedded(todo):
            done += 1
            if row is not None:
                rows.add(item.id, row)
            if progress:
                progress("images", done, len(items))


class _Maker:
    """Makes embeddings of items."""

    def __init__(self, recognizer: Recognizer, gallery: Gallery, images: Path | None, crop: bool | None) -> None:
        self._recognizer = recognizer
        self._gallery = gallery
        self._images = images
        self._crop = crop
        self.faults: dict[int, str] = {}
        self.pictured = set[int]()

    def missing(self, past: Past) -> list[Skipped]:
        """Return the items that could not be embedded, with the reason."""
        return [
            Skipped(item.source or f"item {number}", self.faults[number])
            for number, item in past.items.items()
            if number in self.faults
        ]

    def embedded(self, items: Sequence[GalleryItem]) -> Iterator[tuple[GalleryItem, NDArray[np.float32] | None]]:
        """Yield each item with its unit row (D,), None if it cannot be made."""
        with Workers(self._recognizer.threads) as workers:
            for start in range(0, len(items), _AT_ONCE):
                some = items[start : start + _AT_ONCE]
                origins = self._gallery.origins([item.id for item in some])
                rows = workers.map(lambda item, origins=origins: self._embed(item, origins.get(item.id)), some)
                yield from zip(some, rows, strict=True)

    def _embed(self, item: GalleryItem, origin: Origin | None) -> NDArray[np.float32] | None:
        try:
            source = self._source(item, origin)
            if source is not None and origin is not None:
                return self._recognizer.embed_product(source, origin.box_xyxy, crop=False)
            if source is not None and self._crop is not None:
                return self._recognizer.embed_product(source, crop=self._crop)
            if origin is not None and origin.product_xyxy is not None:
                self.pictured.add(item.id)
                row: NDArray[np.float32] = self._recognizer.embed(origin.picture, [origin.product_xyxy])[0]
                return row
        except (ImageError, EmbeddingError, OptionError) as error:
            self.faults[item.id] = str(error)
        else:
            self.faults[item.id] = _NO_PICTURE if source is None else _NO_CROP
        return None

    def _source(self, item: GalleryItem, origin: Origin | None) -> Path | None:
        """Return an item's source image, None if it is not there or not the one that the item was made of."""
        found = file_inside(self._images, item.source) if self._images and item.source else None
        if found is None or origin is None or not origin.source_sha256:
            return found
        return found if file_sha256(found) == origin.source_sha256 else None
