"""`shitu-edge gallery build`, `add` and `replace`: images into a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
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
from ...gallery.labels import NEGATIVE, normal_label
from ...inputs.sources import FoundImages, LabeledImage, find_images
from ...system.text import some
from ..options import (
    AsJson,
    Author,
    Engine,
    EngineOption,
    GalleryArgument,
    MaxMegapixels,
    Models,
    NewGalleryArgument,
    Note,
    PrecisionOption,
    Threads,
    author_or_user,
    open_recognizer,
)
from ..printing import count, print_message, print_note, print_skipped
from ..tables import progress_bar
from .outcome import print_outcome

Images = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGES",
        help="Folder with one subfolder per label, or a label file with lines path<TAB>label, or CSV.",
    ),
]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Exit with 0 even if a label got no item.")]
Crop = Annotated[bool, typer.Option("--crop", help="Enroll the product that the detector finds, not the whole image.")]


def build(
    gallery: NewGalleryArgument,
    images: Images,
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing gallery, with its log.")] = False,
    allow_missing: AllowMissing = False,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Build a gallery from images.

    Files that are not used are listed with the reason. Exits with 1 if a label got no item.

    Example: shitu-edge gallery build shop.gallery products/ --models models/ppshitu-v2
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
        _report(as_json, found, enrollment, gallery, opened, allow_missing)


def add(
    gallery: GalleryArgument,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES", help="Images, if --label names their label; else as in `gallery build`."),
    ],
    label: Annotated[str | None, typer.Option(help="Label of all these images.", show_default=False)] = None,
    negative: Annotated[
        bool,
        typer.Option("--negative", help="The images show no product: what resembles one of them most is unknown."),
    ] = False,
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    allow_missing: AllowMissing = False,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Add images to a gallery.

    Files that are not used are listed with the reason. Exits with 1 if a label got no item.

    Example: shitu-edge gallery add shop.gallery oat-milk.jpg --label "Oat milk 1 l" --models models/ppshitu-v2
    """
    if negative:
        if label is not None:
            raise typer.BadParameter("expected either --label or --negative")
        label = NEGATIVE
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
        _report(as_json, found, enrollment, gallery, opened, allow_missing)


def replace(
    gallery: GalleryArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="New images of the product.")],
    label: Annotated[str, typer.Option(help="Label of the product; it stays the same.")],
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Replace all images of a product. Use it when the packaging changes.

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
        _report(as_json, found, enrollment, gallery, opened)


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
    """Print what was assumed, and the skipped files if no image can be read."""
    for note in found.notes:
        print_note(f"note: {note}")
    try:
        yield
    except NothingReadableError as error:
        print_skipped([*found.skipped, *error.others])
        raise


def _report(
    as_json: bool,
    found: FoundImages,
    enrollment: Enrollment,
    path: Path,
    gallery: Gallery,
    allow_missing: bool = False,
) -> None:
    """Print what became of the images.

    Raises:
        typer.Exit: a label got no item.
    """
    skipped = [*found.skipped, *enrollment.unreadable]
    missing = sorted(found.labels - enrollment.labels)
    print_skipped(skipped)
    print_outcome(
        as_json,
        path,
        gallery,
        f"{count(enrollment.added, 'image')} added, {len(skipped)} skipped",
        added=enrollment.added,
        ids=enrollment.ids,
        skipped=[asdict(one) for one in skipped],
        labels_without_item=missing,
    )
    if missing:
        told = f"{count(len(missing), 'label')} without an item: {some(missing)}"
        if allow_missing:
            print_note(f"note: {told}")
        else:
            print_message(f"error: {told}; use --allow-missing to accept this")
            raise typer.Exit(1)
