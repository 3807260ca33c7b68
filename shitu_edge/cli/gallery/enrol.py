"""`shitu-edge gallery build`, `add` and `replace`: pictures into a gallery."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ...decode import SUFFIXES
from ...enrolment import (
    Enrolment,
    NothingReadableError,
    Unreadable,
    add_pictures,
    build_gallery,
    replace_pictures,
)
from ...gallery import Gallery, LabelledPicture, find_pictures
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
from ..tables import progress_bar
from .look import print_state

Pictures = Annotated[
    Path,
    typer.Argument(
        metavar="PICTURES", help="A folder with a subfolder per label, or a label file of lines path<TAB>label."
    ),
]


Crop = Annotated[
    bool, typer.Option("--crop", help="Enrol the product that the detector finds in a photo, not the whole photo.")
]


def build(
    pictures: Pictures,
    gallery: GalleryArgument,
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    replace: Annotated[bool, typer.Option("--replace", help="Build anew a gallery that exists.")] = False,
    note: Note = "",
    author: Author = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Build a gallery of pictures.

    Example: shitu-edge gallery build products/ shop.gallery --models models/ppshitu-v2
    """
    found = find_pictures(pictures, SUFFIXES)
    with (
        _passed_over_printed(),
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
        progress_bar() as report,
    ):
        enrolment = build_gallery(
            recognizer,
            gallery,
            found,
            replace=replace,
            crop=crop,
            author=author_or_user(author),
            note=note,
            progress=report,
        )
    with Gallery.open(gallery, background=False) as opened:
        _report(enrolment, gallery, opened)


def add(
    gallery: GalleryArgument,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURES...", help="With --label photos, else as for build.")
    ],
    label: Annotated[str | None, typer.Option(help="The label of all these photos.", show_default=False)] = None,
    models: Models = None,
    crop: Crop = False,
    max_megapixels: MaxMegapixels = None,
    note: Note = "",
    author: Author = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Add pictures to a gallery.

    Example: shitu-edge gallery add shop.gallery oat-milk.jpg --label "Oat milk 1 l" --models models/ppshitu-v2
    """
    if label is None:
        found = [picture for source in pictures for picture in find_pictures(source, SUFFIXES)]
    else:
        found = _photos(pictures, label)
    with (
        _passed_over_printed(),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
    ):
        with progress_bar() as report:
            enrolment = add_pictures(
                recognizer, opened, found, crop=crop, author=author_or_user(author), note=note, progress=report
            )
        _report(enrolment, gallery, opened)


def replace(
    gallery: GalleryArgument,
    pictures: Annotated[list[Path], typer.Argument(metavar="PHOTOS...", help="The product's new photos.")],
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
    """Put other pictures in the place of all that a product has, as when its packaging changes.

    Example: shitu-edge gallery replace shop.gallery new/*.jpg --label "Oat milk 1 l"
    """
    with (
        _passed_over_printed(),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
    ):
        with progress_bar() as report:
            enrolment = replace_pictures(
                recognizer,
                opened,
                label,
                _photos(pictures, label),
                crop=crop,
                author=author_or_user(author),
                note=note,
                progress=report,
            )
        _report(enrolment, gallery, opened)


def _photos(paths: Sequence[Path], label: str) -> list[LabelledPicture]:
    return [LabelledPicture(path, label, str(path)) for path in paths]


@contextmanager
def _passed_over_printed() -> Iterator[None]:
    """Name every picture also where none can be read."""
    try:
        yield
    except NothingReadableError as error:
        _print_passed_over(error.unreadable)
        raise


def _print_passed_over(unreadable: Sequence[Unreadable]) -> None:
    for picture in unreadable:
        print(f"passed over: {picture.reason}", file=sys.stderr)


def _report(enrolment: Enrolment, path: Path, gallery: Gallery) -> None:
    _print_passed_over(enrolment.unreadable)
    print_state(path, gallery, f"{enrolment.added} pictures added, {len(enrolment.unreadable)} passed over")
