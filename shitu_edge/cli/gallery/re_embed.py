"""`shitu-edge gallery re-embed`: a gallery for another bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...enrollment import MissingPicturesError, kept_generations, re_embed
from ...gallery import Gallery
from ..options import (
    AsJson,
    Engine,
    EngineOption,
    GalleryArgument,
    Models,
    PrecisionOption,
    Threads,
    open_recognizer,
)
from ..printing import count, print_line, print_skipped
from ..tables import print_json, progress_bar
from .outcome import print_outcome


def re_embed_gallery(
    gallery: GalleryArgument,
    models: Models = None,
    images: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Folder of the source images, used if they are unchanged; else the kept pictures.",
            show_default=False,
        ),
    ] = None,
    crop: Annotated[
        bool | None,
        typer.Option(
            "--crop/--no-crop",
            help="Of items that do not say how they were cut, embed the product that the detector finds, or the whole "
            "image.",
            show_default=False,
        ),
    ] = None,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out items whose image and picture are missing.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Only delete the earlier generations that re-embedding has kept.")
    ] = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Embed a gallery again, for another bundle.

    Ids, labels and log stay. The gallery can be searched meanwhile, and a killed run continues where it was. Then the
    new generation takes the gallery's place; the old one is kept as GALLERY.FINGERPRINT. The same command with the old
    bundle goes back.

    Example: shitu-edge gallery re-embed shop.gallery --models models/ppshitu-v2
    """
    if forget:
        _forget(gallery, as_json)
        return
    with open_recognizer(models, None, engine, precision, threads) as recognizer, progress_bar() as report:
        try:
            done = re_embed(recognizer, gallery, images=images, crop=crop, drop_missing=drop_missing, progress=report)
        except MissingPicturesError as error:
            print_skipped(error.missing)
            raise
    print_skipped(done.left_out)
    with Gallery.open(gallery, background=False) as opened:
        what = f"{count(done.items, 'item')} embedded, {done.reused} of them before, {done.from_pictures} from pictures"
        print_outcome(
            as_json,
            gallery,
            opened,
            f"{what}, {len(done.left_out)} left out; the old generation is {done.kept.name}",
            embedded=done.items,
            reused=done.reused,
            from_pictures=done.from_pictures,
            left_out=[one.source for one in done.left_out],
            kept=done.kept,
        )


def _forget(gallery: Path, as_json: bool) -> None:
    files = kept_generations(gallery)
    for file in files:
        file.unlink()
    if as_json:
        print_json({"gallery": gallery, "deleted": files})
    else:
        print_line(f"{gallery}: {count(len(files), 'earlier generation')} deleted")
