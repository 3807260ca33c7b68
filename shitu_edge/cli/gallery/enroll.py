"""`shitu-edge gallery build`, `add` and `replace`: images into a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ...enrollment import (
    Enrollment,
    NothingReadableError,
    add_images,
    build_gallery,
    replace_images,
)
from ...gallery import Gallery
from ...gallery.labels import normal_label
from ...inputs.sources import FoundImages, LabeledImage, find_images
from ...system.text import some
from ..options import (
    Author,
    Engine,
    EngineOption,
    GalleryArgument,
    MaxMegapixels,
    Models,
    Note,
    PrecisionOption,
    Threads,
    author_or_user,
    open_recognizer,
)
from ..printing import count, print_message, print_skipped
from ..tables import progress_bar
from .look import print_state

Images = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGES",
        help="A folder with a subfolder per label, or a label file: lines path<TAB>label, or CSV.",
    ),
]


AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Exit with 0 also where a label ends without an item.")
]
Crop = Annotated[
    bool, typer.Option("--crop", help="Enroll the product that the detector finds in a photo, not the whole photo.")
]


def build(
    images: Images,
    gallery: GalleryArgument,
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    replace: Annotated[bool, typer.Option("--replace", help="Build anew a gallery that exists.")] = False,
    allow_missing: AllowMissing = False,
    note: Note = "",
    author: Author = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Build a gallery of images.

    Every file is used or named with the reason. Exits with 1 where a label ends without an item.

    Example: shitu-edge gallery build products/ shop.gallery --models models/ppshitu-v2
    """
    found = find_images(images)
    with (
        _told(found),
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
        progress_bar() as report,
    ):
        enrollment = build_gallery(
            recognizer,
            gallery,
            found.images,
            replace=replace,
            crop=crop,
            author=author_or_user(author),
            note=note,
            progress=report,
        )
    with Gallery.open(gallery, background=False) as opened:
        _report(found, enrollment, gallery, opened, allow_missing)


def add(
    gallery: GalleryArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="With --label images, else as for build.")],
    label: Annotated[str | None, typer.Option(help="The label of all these images.", show_default=False)] = None,
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    allow_missing: AllowMissing = False,
    note: Note = "",
    author: Author = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Add images to a gallery; files that are not used and labels without an item are told as by build.

    Example: shitu-edge gallery add shop.gallery oat-milk.jpg --label "Oat milk 1 l" --models models/ppshitu-v2
    """
    found = _together(map(find_images, images)) if label is None else _labeled(images, label)
    with (
        _told(found),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
    ):
        with progress_bar() as report:
            enrollment = add_images(
                recognizer, opened, found.images, crop=crop, author=author_or_user(author), note=note, progress=report
            )
        _report(found, enrollment, gallery, opened, allow_missing)


def replace(
    gallery: GalleryArgument,
    images: Annotated[list[Path], typer.Argument(metavar="PHOTOS...", help="The product's new photos.")],
    label: Annotated[str, typer.Option(help="The product: its label, which stays.")],
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    note: Note = "",
    author: Author = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Put other images in the place of all that a product has, as when its packaging changes.

    Example: shitu-edge gallery replace shop.gallery new/*.jpg --label "Oat milk 1 l"
    """
    found = _labeled(images, label)
    with (
        _told(found),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
    ):
        with progress_bar() as report:
            enrollment = replace_images(
                recognizer,
                opened,
                label,
                found.images,
                crop=crop,
                author=author_or_user(author),
                note=note,
                progress=report,
            )
        _report(found, enrollment, gallery, opened)


def _labeled(paths: Sequence[Path], label: str) -> FoundImages:
    label = normal_label(label, "--label")
    return FoundImages(tuple(LabeledImage(path, label, str(path)) for path in paths), frozenset([label]))


def _together(sources: Iterable[FoundImages]) -> FoundImages:
    found = list(sources)
    return FoundImages(
        tuple(image for one in found for image in one.images),
        frozenset(label for one in found for label in one.labels),
        tuple(skipped for one in found for skipped in one.skipped),
        tuple(note for one in found for note in one.notes),
    )


@contextmanager
def _told(found: FoundImages) -> Iterator[None]:
    """Say what was assumed, and what was skipped where no image can be read."""
    for note in found.notes:
        print_message(f"note: {note}")
    try:
        yield
    except NothingReadableError as error:
        print_skipped([*found.skipped, *error.others])
        raise


def _report(
    found: FoundImages, enrollment: Enrollment, path: Path, gallery: Gallery, allow_missing: bool = False
) -> None:
    """Say what became of the images.

    Raises:
        typer.Exit: a label has no item.
    """
    print_skipped([*found.skipped, *enrollment.unreadable])
    skipped = len(found.skipped) + len(enrollment.unreadable)
    print_state(path, gallery, f"{count(enrollment.added, 'image')} added, {skipped} skipped")
    missing = sorted(found.labels - enrollment.labels)
    if missing:
        told = f"{count(len(missing), 'label')} without an item: {some(missing)}"
        print_message(f"note: {told}" if allow_missing else f"error: {told}; --allow-missing exits with 0")
    if missing and not allow_missing:
        raise typer.Exit(1)
