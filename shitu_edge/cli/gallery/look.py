"""`shitu-edge gallery list`, `info` and `search`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ...errors import GalleryError
from ...gallery import Gallery
from ..calibration_state import calibration_of, opened_layers
from ..options import (
    AsJson,
    Engine,
    EngineOption,
    GalleryArgument,
    LocalLayer,
    Models,
    PrecisionOption,
    Threads,
    open_recognizer,
)
from ..tables import print_facts, print_json, print_table


def search(
    gallery: GalleryArgument,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Image of one product.")],
    models: Models = None,
    neighbors: Annotated[int, typer.Option("--neighbors", "-k", min=1, help="Number of gallery items to show.")] = 5,
    crop: Annotated[
        bool,
        typer.Option("--crop/--no-crop", help="Search for the product that the detector finds, or the whole image."),
    ] = True,
    as_json: AsJson = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Show the items most similar to an image. The image is cropped as in `gallery add`.

    Example: shitu-edge gallery search shop.gallery crop.jpg -k 10 --models models/ppshitu-v2
    """
    with (
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, opened, engine, precision, threads) as recognizer,
    ):
        matches = opened.search(recognizer.embed_product(image, crop=crop)[None], neighbors)[0]
    if as_json:
        for match in matches:
            print_json(asdict(match))
    else:
        rows = [(f"{match.similarity:.3f}", str(match.item_id), match.label) for match in matches]
        print_table(("similarity", "item", "label"), rows)


def list_items(
    gallery: GalleryArgument,
    label: Annotated[str | None, typer.Option(help="List the items of this label.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """List labels, or the items of one label.

    Example: shitu-edge gallery list shop.gallery --label "Oat milk 1 l"
    """
    with Gallery.open(gallery, background=False) as opened:
        if label is None:
            _print_labels(opened.label_counts(), as_json)
            return
        items = opened.items(label)
    if not items:
        raise GalleryError(f"{gallery} has no label {label!r}; `gallery list {gallery}` lists its labels")
    if as_json:
        for item in items:
            print_json(asdict(item))
    else:
        print_table(("item", "source"), [(str(item.id), item.source) for item in items])


def _print_labels(counts: dict[str, int], as_json: bool) -> None:
    if as_json:
        for name, number in counts.items():
            print_json({"label": name, "items": number})
    else:
        print_table(("items", "label"), [(str(number), name) for name, number in counts.items()])


def info(gallery: GalleryArgument, models: Models = None, local: LocalLayer = None, as_json: AsJson = False) -> None:
    """Show a gallery's size, extractor and calibration.

    Example: shitu-edge gallery info shop.gallery
    """
    with opened_layers(gallery, local) as layers:
        facts = asdict(layers.central.info())
        if layers.local is not None:
            facts.update(local=str(local), local_items=len(layers.local), local_revision=layers.local.revision)
        calibrated = calibration_of(layers, models)
    if as_json:
        print_json({**facts, "calibration": calibrated.record()})
    else:
        print_facts({**facts, **calibrated.facts()})
