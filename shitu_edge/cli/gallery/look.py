"""`shitu-edge gallery list`, `info` and `search`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...errors import GalleryError
from ...gallery import Gallery
from ..options import AsJson, Engine, EngineOption, GalleryArgument, Models, PrecisionOption, Threads, open_recognizer
from ..printing import print_line
from ..tables import print_facts, print_json, print_table


def print_state(path: Path, gallery: Gallery, what: str) -> None:
    """Say what was done to a gallery, and what it holds since."""
    print_line(f"{path}: {what}; {len(gallery)} items in revision {gallery.revision}")


def search(
    gallery: GalleryArgument,
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo of one product.")],
    models: Models = None,
    neighbors: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 5,
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
        matches = opened.search(recognizer.embed(photo), neighbors)[0]
    if as_json:
        print_json([asdict(match) for match in matches])
    else:
        rows = [(f"{match.similarity:.3f}", match.label, str(match.item_id)) for match in matches]
        print_table(("similarity", "label", "item"), rows)


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
                print_table(("count", "label"), [(str(count), name) for name, count in counts.items()])
            return
        entries = opened.items(label)
    if not entries:
        raise GalleryError(f"{gallery}: has no label {label!r}; `gallery list` shows them")
    if as_json:
        print_json([asdict(entry) for entry in entries])
    else:
        print_table(("item", "source"), [(str(entry.id), entry.source) for entry in entries])


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
