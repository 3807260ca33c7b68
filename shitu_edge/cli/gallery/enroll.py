"""`shitu-edge gallery build`, `add` and `replace`: images into a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ...enrollment import add_images, build_gallery, replace_images
from ...gallery import Gallery
from ...gallery.labels import NEGATIVE, normal_label
from ...inputs.found import FoundImages, LabeledImage
from ...inputs.label_folders import JOINED, LabelFrom
from ...inputs.sources import find_images
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
from ..tables import progress_bar
from .crops import drawer
from .enrolled import report, told

Images = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGES",
        help="Folder with one subfolder per label, a label file (lines path<TAB>label, or CSV), or labeled boxes: COCO "
        "(.json), YOLO (a folder with classes.txt) or Pascal VOC (a folder with .xml).",
    ),
]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Exit with 0 even if a label got no item.")]
Crop = Annotated[
    bool,
    typer.Option(
        "--crop/--no-crop",
        help="Enroll the product that the detector finds, if it covers 5 to 80 % of the image, or the whole image. "
        "Images with a box are cropped to it.",
    ),
]
Pictures = Annotated[
    bool,
    typer.Option("--pictures/--no-pictures", help="Keep a small picture of each item in the gallery, about 15 kB."),
]
DrawTo = Annotated[
    Path | None,
    typer.Option("--draw", metavar="DIR", help="Write what was enrolled of each image to DIR/LABEL/NAME.jpg."),
]


class Level(str, Enum):
    """Values of --label-from."""

    parent = "parent"
    top = "top"
    path = "path"


LabelLevel = Annotated[
    Level | None,
    typer.Option(
        "--label-from",
        help="Label of an image in nested folders: the folder that holds it, the topmost folder, or all folders, "
        f"joined by '{JOINED}'.",
        show_default=False,
    ),
]


def build(
    gallery: NewGalleryArgument,
    images: Images,
    label_from: LabelLevel = None,
    models: Models = None,
    crop: Crop = True,
    pictures: Pictures = True,
    picture_limit: Annotated[
        int | None,
        typer.Option(
            "--picture-limit",
            min=0,
            metavar="MB",
            help="Megabytes of pictures from which on further items keep none, now and later. [default: none]",
            show_default=False,
        ),
    ] = None,
    draw_to: DrawTo = None,
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

    Files that are not used are listed with the reason, and images that are poor or resemble others with their fault.
    Exits with 1 if a label got no item.

    Example: shitu-edge gallery build shop.gallery products/ --models models/ppshitu-v2
    """
    found = _find(images, label_from)
    on_product = drawer(draw_to, found.images)
    with (
        told(found),
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
        progress_bar() as shown,
    ):
        enrollment = build_gallery(
            recognizer,
            gallery,
            found.images,
            replace=replace,
            crop=crop,
            pictures=pictures,
            picture_limit=None if picture_limit is None else picture_limit * 1_000_000,
            author=author_or_user(author),
            note=note,
            on_product=on_product,
            progress=shown,
        )
    with Gallery.open(gallery, background=False) as opened:
        report(as_json, found, enrollment, gallery, opened, allow_missing)


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
    label_from: LabelLevel = None,
    models: Models = None,
    crop: Crop = True,
    pictures: Pictures = True,
    draw_to: DrawTo = None,
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

    Files that are not used are listed with the reason, and images that are poor or resemble others with their fault.
    Exits with 1 if a label got no item.

    Example: shitu-edge gallery add shop.gallery oat-milk.jpg --label "Oat milk 1 l" --models models/ppshitu-v2
    """
    if negative:
        if label is not None:
            raise typer.BadParameter("expected either --label or --negative")
        label = NEGATIVE
    if label is not None and label_from is not None:
        raise typer.BadParameter("expected either --label, or --label-from for folders")
    found = _together(_find(source, label_from) for source in images) if label is None else _labeled(images, label)
    on_product = drawer(draw_to, found.images)
    with (
        told(found),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
    ):
        with progress_bar() as shown:
            enrollment = add_images(
                recognizer,
                opened,
                found.images,
                crop=crop,
                pictures=pictures,
                author=author_or_user(author),
                note=note,
                on_product=on_product,
                progress=shown,
            )
        report(as_json, found, enrollment, gallery, opened, allow_missing)


def replace(
    gallery: GalleryArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="New images of the product.")],
    label: Annotated[str, typer.Option(help="Label of the product; it stays the same.")],
    models: Models = None,
    crop: Crop = True,
    pictures: Pictures = True,
    draw_to: DrawTo = None,
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
    on_product = drawer(draw_to, found.images)
    with (
        told(found),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads, max_megapixels=max_megapixels) as recognizer,
    ):
        with progress_bar() as shown:
            enrollment = replace_images(
                recognizer,
                opened,
                label,
                found.images,
                crop=crop,
                pictures=pictures,
                author=author_or_user(author),
                note=note,
                on_product=on_product,
                progress=shown,
            )
        report(as_json, found, enrollment, gallery, opened)


def _find(source: Path, level: Level | None) -> FoundImages:
    label_from: LabelFrom | None = level.value if level else None
    return find_images(source, label_from=label_from)


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
