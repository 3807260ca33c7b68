"""Images → a gallery file: embed many, judge them, add them in one go, report what could not be read."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from functools import partial
from pathlib import Path

from ..errors import GalleryError
from ..gallery import Gallery
from ..gallery.labels import NEGATIVE
from ..gallery.layers import Layers
from ..gallery.protocol import require_extractor
from ..gallery.store.connection import refuse_open
from ..inputs.found import LabeledImage
from ..inputs.skipped import Skipped, summary
from ..ranges import require_flag, require_instance, require_path
from ..recognizer import Recognizer
from ..stages.photo_features import opened_photos
from ..system.progress import StepProgress
from ..system.unfinished import publish, unfinished
from ..system.unfinished import replace as replace_file
from ..system.workers import Workers
from .embed import Embedded, OnProduct, embedded
from .likeness import identical_images, resemblances, spelled_alike
from .quality import EnrollmentQuality

_log = logging.getLogger(__name__)

ENOUGH = 3
"""Items per label under which more are asked for."""


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
    """What became of images.

    Attributes:
        added: how many are gallery items now, `ids` these, and `labels` theirs.
        unreadable: images that could not be read, and boxes that are too small or outside of their image.
        whole: how many were enrolled whole, because no product was found in them to crop to.
        quality: what is wrong with those that were added.
    """

    added: int
    labels: frozenset[str]
    unreadable: tuple[Skipped, ...]
    ids: tuple[int, ...] = ()
    whole: int = 0
    quality: EnrollmentQuality = field(default_factory=EnrollmentQuality)

    @classmethod
    def _of(
        cls, made: Sequence[Embedded], unreadable: tuple[Skipped, ...], ids: Sequence[int], quality: EnrollmentQuality
    ) -> Enrollment:
        labels = frozenset(one.item.label for one in made)
        return cls(len(made), labels, unreadable, tuple(ids), sum(one.is_whole for one in made), quality)


def build_gallery(
    recognizer: Recognizer,
    path: str | os.PathLike[str],
    images: Sequence[LabeledImage],
    *,
    replace: bool = False,
    crop: bool = True,
    pictures: bool = True,
    picture_limit: int | None = None,
    author: str = "",
    note: str = "",
    on_product: OnProduct | None = None,
    progress: StepProgress | None = None,
) -> Enrollment:
    """Make a gallery file of images, each cropped to its box or to the product that it shows (`Recognizer.embed`).

    The file appears at `path` when it is finished; until then, and when interrupted, there is nothing, or what was
    there before.

    Args:
        recognizer: of the extractor.
        path: the file.
        images: as `find_images` lists them; those of one file in a row are decoded once.
        replace: take the place of a gallery that is there.
        crop: False to enroll images without a box whole, as those with the label `NEGATIVE` always are.
        pictures: keep a small picture of each item in the gallery, about 15 kB, by which it can be shown and embedded
            again.
        picture_limit: bytes of pictures from which on further items keep none, now and later; see
            `Gallery.limit_pictures`.
        author, note: of the revision.
        on_product: called with each image and the pixels (h, w, 3) uint8 RGB of it that are enrolled, by several
            threads.
        progress: called with `images`, `features` or `index`, the number done and the total.

    Raises:
        NothingReadableError: no image can be read.
        GalleryError: `path` exists and `replace` is false, or its folder cannot be written.
        OptionError: an argument is of the wrong kind.
    """
    require_path("path", path)
    require_flag("replace", replace)
    _check(recognizer, images, crop, pictures)
    path = Path(path)
    if os.path.exists(path) and not replace:
        raise GalleryError(f"{path}: already exists; use --replace to build it again, or `gallery add` to add to it")
    refuse_in_use(path)
    with unfinished(path) as partial_path:
        with recognizer.create_gallery(partial_path, background=False) as gallery:
            made, unreadable = _read(recognizer, gallery, images, crop, pictures, on_product, progress)
            quality = _judged(gallery, made)
            if picture_limit is not None:
                gallery.limit_pictures(picture_limit, author=author)
            ids = gallery.add([one.item for one in made], author=author, note=note or "built")
            gallery.history.compact()
        refuse_in_use(path)  # again, minutes later: a log applied to another file would spoil it
        try:
            replace_file(partial_path, path) if replace else publish(partial_path, path)
        except OSError as error:
            raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error
    with Gallery.open(path, background=False) as gallery:
        with suppress(GalleryError):  # somebody is writing already; the next index drops them
            gallery.index.drop_stale()
        bring_up_to_date(gallery, recognizer.threads, progress)
    return Enrollment._of(made, unreadable, ids, quality)


def add_images(
    recognizer: Recognizer,
    gallery: Gallery,
    images: Sequence[LabeledImage],
    *,
    crop: bool = True,
    pictures: bool = True,
    author: str = "",
    note: str = "",
    on_product: OnProduct | None = None,
    progress: StepProgress | None = None,
) -> Enrollment:
    """Add images to a gallery as one revision: all that can be read or, when interrupted, none; see `build_gallery`.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        NothingReadableError: no image can be read.
    """
    require_instance("gallery", gallery, Gallery, "an open Gallery")
    _check(recognizer, images, crop, pictures)
    made, unreadable = _read(recognizer, gallery, images, crop, pictures, on_product, progress)
    quality = _judged(gallery, made)
    ids = gallery.add([one.item for one in made], author=author, note=note)
    bring_up_to_date(gallery, recognizer.threads, progress)
    return Enrollment._of(made, unreadable, ids, quality)


def replace_images(
    recognizer: Recognizer,
    gallery: Gallery,
    label: str,
    images: Sequence[LabeledImage],
    *,
    crop: bool = True,
    pictures: bool = True,
    author: str = "",
    note: str = "",
    on_product: OnProduct | None = None,
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
    _check(recognizer, images, crop, pictures)
    made, unreadable = _read(recognizer, gallery, images, crop, pictures, on_product, progress)
    quality = _judged(gallery, made, replaced=label)
    items = [one.item for one in made]
    ids = gallery.replace(label, items, author=author, note=note or f"new images of {label}")
    bring_up_to_date(gallery, recognizer.threads, progress)
    return Enrollment._of(made, unreadable, ids, quality)


def _check(recognizer: object, images: Sequence[LabeledImage], crop: object, pictures: object) -> None:
    require_instance("recognizer", recognizer, Recognizer, "an open Recognizer")
    require_flag("crop", crop)
    require_flag("pictures", pictures)
    require_instance("images", images, (list, tuple), "a list of LabeledImage")
    for image in images:
        require_instance("images", image, LabeledImage, "a list of LabeledImage")


def _read(
    recognizer: Recognizer,
    gallery: Gallery,
    images: Sequence[LabeledImage],
    crop: bool,
    pictures: bool,
    on_product: OnProduct | None,
    progress: StepProgress | None,
) -> tuple[list[Embedded], tuple[Skipped, ...]]:
    """Embed all there is before anything is written, so that nobody waits for a transaction of minutes."""
    extractor = recognizer.bundle.manifest.extractor
    require_extractor(gallery, extractor.network.name, extractor.fingerprint)
    _require_writable(gallery.path)
    made: list[Embedded] = []
    unreadable: list[Skipped] = []
    for done, answer in enumerate(embedded(recognizer, images, crop, pictures, on_product), start=1):
        if isinstance(answer, Embedded):
            made.append(answer)
        else:
            unreadable.append(answer)
        if progress:
            progress("images", done, len(images))
    if not images:
        raise GalleryError("expected images to enroll, found none")
    if not made:
        raise NothingReadableError(unreadable)
    return made, tuple(unreadable)


def _judged(gallery: Gallery, made: Sequence[Embedded], replaced: str | None = None) -> EnrollmentQuality:
    """Return what is wrong with items that are about to be added to a gallery, or to replace a label's."""
    products = [one for one in made if one.item.label != NEGATIVE]
    items = [replace_fields(one.item, source=one.name) for one in products]
    identical = identical_images(items, [one.content for one in products])
    known = {(one.source, one.other_source) for one in identical}
    alike = [one for one in resemblances(gallery, items, replaced) if (one.source, one.other_source) not in known]
    labels = Counter(gallery.label_counts())
    if replaced is not None:
        del labels[replaced]
    labels.update(item.label for item in items)
    new = dict.fromkeys(item.label for item in items)
    return EnrollmentQuality(
        small=tuple(one.name for one in made if one.look.small),
        cut=tuple(one.name for one in made if one.look.cut),
        blurred=tuple(one.name for one in made if one.look.blurred),
        identical=tuple(identical),
        repeated=tuple(one for one in alike if one.is_of_one_label),
        confusable=tuple(one for one in alike if not one.is_of_one_label),
        few=tuple(label for label in new if labels[label] < ENOUGH),
        spellings=tuple(spelled_alike(labels, new)),
    )


def bring_up_to_date(gallery: Gallery, threads: int, progress: StepProgress | None = None) -> None:
    """Find local features, and build or extend the graph where it pays.

    What was changed is in the gallery, whatever becomes of it.
    """
    with opened_photos(Layers(gallery)) as photos, Workers(threads) as workers:
        if photos is not None:
            photos.complete(progress=partial(progress or _silent, "features"), workers=workers)
    if gallery.index.is_due():
        try:
            gallery.index.rebuild(extend=True, threads=threads, progress=partial(progress or _silent, "index"))
        except GalleryError as error:
            _log.warning("no index was built, so searches take longer: %s", error)


def _silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


def _require_writable(path: Path) -> None:
    """Check, before the images are read, that a gallery can be changed: SQLite writes a log beside it."""
    log = path.with_name(f"{path.name}-wal")
    if not os.access(path, os.W_OK) or not (os.access(path.parent, os.W_OK) or log.exists()):
        raise GalleryError(f"{path}: cannot be changed: no permission to write the file or its folder")


def refuse_in_use(path: Path) -> None:
    """Check that what is to be replaced is not a folder, and that nobody has it open or has left a log beside it."""
    if os.path.isdir(path):
        raise GalleryError(f"{path}: is a folder, expected a gallery file")
    refuse_open(path)  # which folds in what a killed process may have left
    log = path.with_name(f"{path.name}-wal")
    if os.path.lexists(log):
        raise GalleryError(f"{path}: {log.name} was left next to it and would corrupt a new gallery; remove it first")
