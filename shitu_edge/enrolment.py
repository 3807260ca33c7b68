"""Pictures → a gallery file: decode and embed many, add them in one go, report what could not be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .errors import EmbeddingError, GalleryError, ImageError
from .gallery import Gallery, LabelledPicture, NewItem
from .recognizer import Recognizer

Progress = Callable[[str, int, int], None]
"""Called with the step (`pictures` or `index`), what is done and the total."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that was passed over, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of the pictures."""

    added: int
    unreadable: tuple[Unreadable, ...]


def build_gallery(
    recognizer: Recognizer,
    path: Path,
    pictures: Sequence[LabelledPicture],
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Enrolment:
    """Make a gallery file of pictures, each as a whole.

    The file appears at `path` when it is finished; until then, and when interrupted, there is nothing, or what was
    there before.

    Raises:
        GalleryError: `path` exists and `replace` is false, its folder cannot be written, or no picture can be read.
    """
    if path.exists() and not replace:
        raise GalleryError(f"{path}: exists already; --replace builds it anew, `gallery add` adds to it")
    _refuse_open(path)
    extractor = recognizer.bundle.manifest.extractor
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with Gallery.create(
            unfinished, extractor=extractor.network.name, fingerprint=extractor.fingerprint, dim=extractor.dim
        ) as gallery:
            enrolment = _add(recognizer, gallery, pictures, "built", progress)
            gallery.compact()
        _refuse_open(path)  # again, minutes later: a log applied to another file would spoil it
        try:
            os.replace(unfinished, path)
        except OSError as error:
            raise GalleryError(f"{path}: cannot be replaced: {error.strerror}") from error
    finally:
        for leftover in (unfinished, _log_of(unfinished), unfinished.with_name(f"{unfinished.name}-shm")):
            leftover.unlink(missing_ok=True)
    with Gallery.open(path) as gallery:
        gallery.drop_stale_graphs()
        _index(recognizer, gallery, progress)
    return enrolment


def add_pictures(
    recognizer: Recognizer,
    gallery: Gallery,
    pictures: Sequence[LabelledPicture],
    *,
    note: str = "",
    progress: Progress | None = None,
) -> Enrolment:
    """Add pictures, each as a whole, to a gallery as one revision: all that can be read or, when interrupted, none.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        GalleryError: no picture can be read.
    """
    extractor = recognizer.bundle.manifest.extractor
    gallery.require(extractor.network.name, extractor.fingerprint)
    enrolment = _add(recognizer, gallery, pictures, note, progress)
    _index(recognizer, gallery, progress)
    return enrolment


def _add(
    recognizer: Recognizer,
    gallery: Gallery,
    pictures: Sequence[LabelledPicture],
    note: str,
    progress: Progress | None,
) -> Enrolment:
    """Embed first and write at the end, so that nobody waits for a transaction of minutes."""
    items: list[NewItem] = []
    unreadable: list[Unreadable] = []
    for done, answer in enumerate(_embedded(recognizer, pictures), start=1):
        if isinstance(answer, NewItem):
            items.append(answer)
        else:
            unreadable.append(answer)
        if progress:
            progress("pictures", done, len(pictures))
    if not pictures:
        raise GalleryError("there are no pictures to enrol")
    if not items:
        raise GalleryError(f"none of {len(pictures)} pictures can be read; the first: {unreadable[0].reason}")
    return Enrolment(len(gallery.add(items, note=note)), tuple(unreadable))


def _embedded(recognizer: Recognizer, pictures: Sequence[LabelledPicture]) -> Iterator[NewItem | Unreadable]:
    """Embed pictures side by side, in order; at most `_AT_ONCE` are decoded at a time."""

    def embed(picture: LabelledPicture) -> NewItem | Unreadable:
        try:
            return NewItem(picture.label, picture.source, recognizer.embed(picture.path)[0])
        except ImageError as error:
            return Unreadable(picture.source, str(error))
        except EmbeddingError as error:
            return Unreadable(picture.source, f"{picture.path}: {error}")

    with ThreadPoolExecutor(recognizer.threads, "shitu-enrol") as workers:
        for start in range(0, len(pictures), _AT_ONCE):
            yield from workers.map(embed, pictures[start : start + _AT_ONCE])


def _index(recognizer: Recognizer, gallery: Gallery, progress: Progress | None) -> None:
    if gallery.needs_graph():
        report = partial(progress, "index") if progress else None
        gallery.reindex(threads=recognizer.threads, progress=report)


def _refuse_open(path: Path) -> None:
    with suppress(GalleryError):
        Gallery.open(path).close()  # folds in the log that a killed process may have left
    if _log_of(path).exists():
        raise GalleryError(f"{path}: is open in another process; close it there first")


def _log_of(path: Path) -> Path:
    """SQLite's write-ahead log, which lies beside a gallery while it is open."""
    return path.with_name(f"{path.name}-wal")
