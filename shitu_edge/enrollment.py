"""Images → a gallery file: decode and embed many, add them in one go, report what could not be read."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .errors import EmbeddingError, GalleryError, ImageError
from .gallery import Gallery, NewGalleryItem
from .gallery.protocol import require_extractor
from .gallery.store.connection import refuse_open
from .inputs.skipped import Skipped, summary
from .inputs.sources import LabeledImage
from .ranges import require_flag, require_instance, require_path
from .recognizer import Recognizer
from .system.files import file_inside
from .system.progress import StepProgress
from .system.unfinished import publish, unfinished
from .system.unfinished import replace as replace_file
from .system.workers import Workers

_log = logging.getLogger(__name__)

_AT_ONCE = 16
_WITNESSES = 8
_SAME_EXTRACTOR = 0.97
"""Decoders and resizing differ a little between programs; embeddings of another extractor are at 0, not near 1."""


class NothingReadableError(GalleryError):
    """No image at all could be read; `unreadable` says why, one by one, and the message names the commonest reason."""

    def __init__(self, unreadable: Sequence[Skipped]) -> None:
        self.unreadable = tuple(unreadable)
        self._told = Counter(one.reason for one in unreadable).most_common(1)[0][0]
        told = [one for one in unreadable if one.reason == self._told]
        which = f"none of {len(unreadable)} images can be read; " if len(unreadable) > 1 else ""
        super().__init__(f"{which}{summary(told)[0]}")

    @property
    def others(self) -> list[Skipped]:
        """Those that cannot be read for another reason than the one in the message."""
        return [one for one in self.unreadable if one.reason != self._told]


@dataclass(frozen=True, slots=True)
class Enrollment:
    """Images added, their labels and item ids, and images that could not be read."""

    added: int
    labels: frozenset[str]
    unreadable: tuple[Skipped, ...]
    ids: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, items: Sequence[NewGalleryItem], unreadable: tuple[Skipped, ...], ids: Sequence[int] = ()
    ) -> Enrollment:
        """Count the items added."""
        return cls(len(items), frozenset(item.label for item in items), unreadable, tuple(ids))


def build_gallery(
    recognizer: Recognizer,
    path: str | os.PathLike[str],
    images: Sequence[LabeledImage],
    *,
    replace: bool = False,
    crop: bool = False,
    author: str = "",
    note: str = "",
    progress: StepProgress | None = None,
) -> Enrollment:
    """Make a gallery file of images, each as a whole or, with `crop`, the product that it shows (`Recognizer.embed`).

    The file appears at `path` when it is finished; until then, and when interrupted, there is nothing, or what was
    there before. The steps of `progress` are `images` and `index`.

    Raises:
        NothingReadableError: no image can be read.
        GalleryError: `path` exists and `replace` is false, or its folder cannot be written.
        OptionError: an argument is of the wrong kind.
    """
    require_path("path", path)
    require_flag("replace", replace)
    _check(recognizer, images, crop)
    path = Path(path)
    if os.path.exists(path) and not replace:
        raise GalleryError(f"{path}: already exists; use --replace to build it again, or `gallery add` to add to it")
    _refuse_open(path)
    with unfinished(path) as partial_path:
        with recognizer.create_gallery(partial_path, background=False) as gallery:
            items, unreadable = _read(recognizer, gallery, images, crop, progress)
            ids = gallery.add(items, author=author, note=note or "built")
            gallery.history.compact()
        _refuse_open(path)  # again, minutes later: a log applied to another file would spoil it
        try:
            replace_file(partial_path, path) if replace else publish(partial_path, path)
        except OSError as error:
            raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error
    with Gallery.open(path, background=False) as gallery:
        with suppress(GalleryError):  # somebody is writing already; the next index drops them
            gallery.index.drop_stale()
        bring_up_to_date(gallery, recognizer.threads, progress)
    return Enrollment.of(items, unreadable, ids)


def add_images(
    recognizer: Recognizer,
    gallery: Gallery,
    images: Sequence[LabeledImage],
    *,
    crop: bool = False,
    author: str = "",
    note: str = "",
    progress: StepProgress | None = None,
) -> Enrollment:
    """Add images to a gallery as one revision: all that can be read or, when interrupted, none; see `build_gallery`.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        NothingReadableError: no image can be read.
    """
    require_instance("gallery", gallery, Gallery, "an open Gallery")
    _check(recognizer, images, crop)
    items, unreadable = _read(recognizer, gallery, images, crop, progress)
    ids = gallery.add(items, author=author, note=note)
    bring_up_to_date(gallery, recognizer.threads, progress)
    return Enrollment.of(items, unreadable, ids)


def replace_images(
    recognizer: Recognizer,
    gallery: Gallery,
    label: str,
    images: Sequence[LabeledImage],
    *,
    crop: bool = False,
    author: str = "",
    note: str = "",
    progress: StepProgress | None = None,
) -> Enrollment:
    """Put images in the place of all that a label has, as one revision; see `build_gallery`.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        NothingReadableError: no image can be read.
        GalleryError: no item has the label.
    """
    require_instance("gallery", gallery, Gallery, "an open Gallery")
    require_instance("label", label, str, "text")
    _check(recognizer, images, crop)
    items, unreadable = _read(recognizer, gallery, images, crop, progress)
    ids = gallery.replace(label, items, author=author, note=note or f"new images of {label}")
    bring_up_to_date(gallery, recognizer.threads, progress)
    return Enrollment.of(items, unreadable, ids)


def check_vectors(recognizer: Recognizer, items: Sequence[NewGalleryItem], images: Path) -> int:
    """Check by some images that a recognizer gives the embeddings that came with them; return how many were found.

    Args:
        recognizer: of the extractor that they are said to be of.
        items: with sources relative to `images`; `_WITNESSES` whose image is there are looked at.
        images: the folder.

    Raises:
        GalleryError: the embeddings are another extractor's, or no image is there.
    """
    found = [(item, path) for item in items if (path := file_inside(images, item.source))]
    chosen = found[:: max(1, len(found) // _WITNESSES)][:_WITNESSES]
    if not chosen:
        raise GalleryError(
            f"{images}: holds no image of the index; expected for example {items[0].source if items else '-'}"
        )
    likeness = [float(recognizer.embed(path)[0] @ item.embedding) for item, path in chosen]
    if np.median(likeness) < _SAME_EXTRACTOR:
        name = recognizer.bundle.manifest.extractor.network.name
        raise GalleryError(
            f"{images}: extractor {name} gives other vectors than the index (median cosine {np.median(likeness):.3f}); "
            "use --models to name the bundle that built the index"
        )
    return len(chosen)


def _check(recognizer: object, images: Sequence[LabeledImage], crop: object) -> None:
    require_instance("recognizer", recognizer, Recognizer, "an open Recognizer")
    require_flag("crop", crop)
    require_instance("images", images, (list, tuple), "a list of LabeledImage")
    for image in images:
        require_instance("images", image, LabeledImage, "a list of LabeledImage")


def _read(
    recognizer: Recognizer,
    gallery: Gallery,
    images: Sequence[LabeledImage],
    crop: bool,
    progress: StepProgress | None,
) -> tuple[list[NewGalleryItem], tuple[Skipped, ...]]:
    """Embed all there is before anything is written, so that nobody waits for a transaction of minutes."""
    extractor = recognizer.bundle.manifest.extractor
    require_extractor(gallery, extractor.network.name, extractor.fingerprint)
    _require_writable(gallery.path)
    items: list[NewGalleryItem] = []
    unreadable: list[Skipped] = []
    for done, answer in enumerate(_embedded(recognizer, images, crop), start=1):
        if isinstance(answer, NewGalleryItem):
            items.append(answer)
        else:
            unreadable.append(answer)
        if progress:
            progress("images", done, len(images))
    if not images:
        raise GalleryError("expected images to enroll, found none")
    if not items:
        raise NothingReadableError(unreadable)
    return items, tuple(unreadable)


def _embedded(recognizer: Recognizer, images: Sequence[LabeledImage], crop: bool) -> Iterator[NewGalleryItem | Skipped]:
    """Embed images side by side, in order; at most `_AT_ONCE` are decoded at a time."""

    def embed(image: LabeledImage) -> NewGalleryItem | Skipped:
        try:
            return NewGalleryItem(image.label, image.source, recognizer.embed_product(image.path, crop=crop))
        except (ImageError, EmbeddingError) as error:
            return Skipped(image.source, str(error).removeprefix(f"{image.path}: "))

    with Workers(recognizer.threads) as workers:
        for start in range(0, len(images), _AT_ONCE):
            yield from workers.map(embed, images[start : start + _AT_ONCE])


def bring_up_to_date(gallery: Gallery, threads: int, progress: StepProgress | None = None) -> None:
    """Build or extend the graph where it pays; what was changed is in the gallery, whatever becomes of it."""
    if gallery.index.is_due():
        report = partial(progress, "index") if progress else None
        try:
            gallery.index.rebuild(extend=True, threads=threads, progress=report)
        except GalleryError as error:
            _log.warning("no index was built, so searches take longer: %s", error)


def _require_writable(path: Path) -> None:
    """Check, before the images are read, that a gallery can be changed: SQLite writes a log beside it."""
    log = path.with_name(f"{path.name}-wal")
    if not os.access(path, os.W_OK) or not (os.access(path.parent, os.W_OK) or log.exists()):
        raise GalleryError(f"{path}: cannot be changed: no permission to write the file or its folder")


def _refuse_open(path: Path) -> None:
    """Check that what is to be replaced is not a folder, and that nobody has it open or has left a log beside it."""
    if os.path.isdir(path):
        raise GalleryError(f"{path}: is a folder, expected a gallery file")
    refuse_open(path)  # which folds in what a killed process may have left
    log = path.with_name(f"{path.name}-wal")
    if os.path.lexists(log):
        raise GalleryError(f"{path}: {log.name} was left next to it and would corrupt a new gallery; remove it first")
