"""`shitu-edge gallery`: build, extend, search and look into a gallery."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..decode import SUFFIXES
from ..engines.cpu import read_cpu
from ..enrolment import Enrolment, NothingReadableError, Unreadable, add_pictures, build_gallery
from ..errors import GalleryError
from ..gallery import Gallery, LabelledPicture, find_pictures
from .options import AsJson, Engine, EngineOption, GalleryArgument, Models, PrecisionOption, Threads, open_recognizer
from .tables import print_facts, print_json, print_table, progress_bar

app = typer.Typer(help="Build, extend, search and look into a gallery.", no_args_is_help=True, rich_markup_mode=None)

Pictures = Annotated[
    Path,
    typer.Argument(
        metavar="PICTURES", help="A folder with a subfolder per label, or a label file of lines path<TAB>label."
    ),
]


@app.command()
def build(
    pictures: Pictures,
    gallery: GalleryArgument,
    models: Models = None,
    replace: Annotated[bool, typer.Option("--replace", help="Build anew a gallery that exists.")] = False,
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
        open_recognizer(models, None, engine, precision, threads) as recognizer,
        progress_bar() as report,
    ):
        enrolment = build_gallery(recognizer, gallery, found, replace=replace, progress=report)
    _report(enrolment, gallery)


@app.command()
def add(
    gallery: GalleryArgument,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURES...", help="With --label photos, else as for build.")
    ],
    label: Annotated[str | None, typer.Option(help="The label of all these photos.", show_default=False)] = None,
    models: Models = None,
    note: Annotated[str, typer.Option(help="Why, for the gallery's log.")] = "",
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
        found = [LabelledPicture(path, label, str(path)) for path in pictures]
    with (
        _passed_over_printed(),
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, None, engine, precision, threads) as recognizer,
        progress_bar() as report,
    ):
        enrolment = add_pictures(recognizer, opened, found, note=note, progress=report)
    _report(enrolment, gallery)


@app.command()
def index(
    gallery: GalleryArgument,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads. [default: a physical core each]", show_default=False)
    ] = None,
) -> None:
    """Build the index of a large gallery anew, as when its file was lost or damaged.

    Example: shitu-edge gallery index shop.gallery
    """
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        opened.reindex(threads=threads or read_cpu().threads, progress=partial(report, "index"))
        items = len(opened)
    print(f"{gallery}: {items} items indexed")


@app.command()
def search(
    gallery: GalleryArgument,
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo of one product.")],
    models: Models = None,
    neighbours: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 5,
    as_json: AsJson = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Show the gallery items most like a photo, as a whole.

    Example: shitu-edge gallery search shop.gallery crop.jpg -k 10 --models models/ppshitu-v2
    """
    with (
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, opened, engine, precision, threads) as recognizer,
    ):
        matches = opened.search(recognizer.embed(photo), neighbours)[0]
    if as_json:
        print_json([asdict(match) for match in matches])
    else:
        rows = [(f"{match.similarity:.3f}", match.label, str(match.item_id)) for match in matches]
        print_table(("similarity", "label", "item"), rows)


@app.command("list")
def list_items(
    gallery: GalleryArgument,
    label: Annotated[str | None, typer.Option(help="List the items of this label.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """List the labels of a gallery and how many items each has, or the items of one label.

    Example: shitu-edge gallery list shop.gallery --label "Oat milk 1 l"
    """
    with Gallery.open(gallery, background=False) as opened:
        if label is None:
            counts = opened.label_counts()
            if as_json:
                print_json(counts)
            else:
                print_table(("items", "label"), [(str(count), name) for name, count in counts.items()])
            return
        items = list(opened.entries(label))
    if not items:
        raise GalleryError(f"{gallery}: has no label {label!r}; `gallery list` shows them")
    if as_json:
        print_json([asdict(item) for item in items])
    else:
        print_table(("item", "source"), [(str(item.id), item.source) for item in items])


@app.command()
def info(gallery: GalleryArgument, as_json: AsJson = False) -> None:
    """Show a gallery at a glance.

    Example: shitu-edge gallery info shop.gallery
    """
    with Gallery.open(gallery, background=False) as opened:
        facts = asdict(opened.info())
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


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


def _report(enrolment: Enrolment, gallery: Path) -> None:
    _print_passed_over(enrolment.unreadable)
    print(f"{gallery}: {enrolment.added} pictures added, {len(enrolment.unreadable)} passed over")
