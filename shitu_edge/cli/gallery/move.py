"""`shitu-edge gallery copy`, `patch`, `apply`, `merge`, `export`, `import`, `import-paddleclas` and `push`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ...enrollment import bring_up_to_date, check_vectors
from ...errors import GalleryError
from ...gallery import Gallery, NewGalleryItem
from ...gallery.paddle_index import read_paddle_index
from ...gallery.transfer.folder import export_folder, import_folder
from ...gallery.transfer.intake import take_in
from ...gallery.transfer.merge import merge_layer
from ...gallery.transfer.patch import apply_patch, write_patch
from ...system.cpu import read_cpu
from ..options import (
    AsJson,
    Author,
    Engine,
    GalleryArgument,
    Models,
    NewGalleryArgument,
    Note,
    author_or_user,
    expect_gallery,
    extractor_of,
    open_recognizer,
)
from ..printing import count, print_line, print_note
from ..tables import print_json, progress_bar
from .outcome import print_outcome


def copy(
    gallery: GalleryArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="New gallery file; must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Copy a gallery with its index, even while it is in use.

    Example: shitu-edge gallery copy shop.gallery -o /media/usb/shop.gallery
    """
    with Gallery.open(gallery, background=False) as opened:
        opened.copy(out)
    with Gallery.open(out, background=False) as copied:
        print_outcome(as_json, out, copied, f"copied from {gallery}", copied_from=gallery)


def patch(
    gallery: GalleryArgument,
    revisions: Annotated[
        str,
        typer.Argument(metavar="BASE..[HEAD]", help="Revision of the copies, and revision to bring them to."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Patch file to write.")],
    as_json: AsJson = False,
) -> None:
    """Write the changes between two revisions to a file. `gallery apply` brings copies elsewhere up to date with it.

    Example: shitu-edge gallery patch shop.gallery 7..9 -o week-12.patch
    """
    base, head = _range(revisions)
    with Gallery.open(gallery, background=False) as opened:
        info = write_patch(opened, base, opened.revision if head is None else head, out)
    if as_json:
        print_json({"gallery": gallery, "out": out, **asdict(info)})
    else:
        print_line(
            f"{out}: revisions {info.base} to {info.head}, {info.added} added, {info.removed} removed, "
            f"{info.bytes / 1e3:,.0f} kB"
        )


def apply(
    gallery: GalleryArgument,
    patch_file: Annotated[Path, typer.Argument(metavar="PATCH", help="File written by `gallery patch`.")],
    as_json: AsJson = False,
) -> None:
    """Apply a patch to a copy of a gallery. On any error nothing is changed.

    Example: shitu-edge gallery apply shop.gallery week-12.patch
    """
    with Gallery.open(gallery, background=False) as opened:
        info = apply_patch(opened, patch_file)
    added, removed = (info.added, info.removed) if info else (0, 0)
    what = f"{added} added, {removed} removed" if info else "already has this patch"
    with _up_to_date(gallery) as opened:
        print_outcome(as_json, gallery, opened, what, applied=info is not None, added=added, removed=removed)


def merge(
    gallery: GalleryArgument,
    local: Annotated[
        Path, typer.Argument(metavar="LOCAL", help="Gallery file of a local layer.", callback=expect_gallery)
    ],
    drop: Annotated[
        bool, typer.Option("--drop", help="Then remove from LOCAL the items that the gallery has.")
    ] = False,
    no_add: Annotated[
        bool,
        typer.Option("--no-add", help="Add nothing: on a kiosk, whose copy of the gallery must not differ from it."),
    ] = False,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Add the items of a local layer to the central gallery. Items that it already has are skipped.

    Example: shitu-edge gallery merge shop.gallery till.gallery --drop
    """
    with Gallery.open(gallery, background=False) as center, Gallery.open(local, background=False) as layer:
        done = merge_layer(center, layer, add=not no_add, drop=drop, author=author_or_user(author), note=note)
    parts = [f"{count(len(done.ids), 'item')} added from {local}", f"{done.known} already there"]
    parts += [f"{done.left} missing"] if no_add else []
    parts += [f"{done.dropped} dropped from {local}"] if drop else []
    record = {"added": len(done.ids), "known": done.known, "left": done.left, "dropped": done.dropped}
    with _up_to_date(gallery) as opened:
        print_outcome(as_json, gallery, opened, ", ".join(parts), local=local, **record, ids=list(done.ids))


def export(
    gallery: GalleryArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder; must not exist.")],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Copy the items' images too, from this folder. An item whose image is missing there gets the picture "
            "that the gallery keeps, if any.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export items as files for other programs. These are labels.tsv, embeddings.npy and gallery.json.

    Example: shitu-edge gallery export shop.gallery -o shop-export/ --images products/
    """
    if images and not images.is_dir():
        raise typer.BadParameter(f"there is no folder {images}", param_hint="--images")
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        exported = export_folder(opened, out, images=images, progress=partial(report, "items"))
        items = len(opened)
    if as_json:
        print_json({"gallery": gallery, "out": out, "items": items, **asdict(exported)})
    else:
        found = f", {exported.images} with their images" if images else ""
        kept = f", {exported.pictures} with the picture kept in the gallery" if exported.pictures else ""
        print_line(f"{out}: {count(items, 'item')}{found}{kept}")


def import_(
    gallery: NewGalleryArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder written by `gallery export`.")],
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Import an exported folder into a gallery. Items that the gallery already has are added again.

    Example: shitu-edge gallery import shop.gallery shop-export/
    """
    added = import_folder(folder, gallery, author=author_or_user(author), note=note)
    with _up_to_date(gallery) as opened:
        print_outcome(as_json, gallery, opened, f"{count(added, 'item')} added", added=added)


def import_paddleclas(
    gallery: NewGalleryArgument,
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="Folder with vector.index and id_map.pkl or id_map.yaml.")
    ],
    models: Models = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the index's images. Some of them are embedded to check that the bundle is the right one. "
            "[default: not checked]",
            show_default=False,
        ),
    ] = None,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Import an index of PaddleClas or PaddleX.

    Their software is not needed; pickles are parsed, never executed. The bundle must hold the extractor that built the
    index. Vectors of another extractor look the same, so pass --images if you have the images.

    Example: shitu-edge gallery import-paddleclas shop.gallery index/ --models models/ppshitu-v2
    """
    extractor = extractor_of(models)
    found = read_paddle_index(index)
    dim = found.vectors.shape[1]
    if dim != extractor.dim:
        raise GalleryError(
            f"{index} holds vectors of {dim} numbers, but extractor {extractor.extractor} gives {extractor.dim}: "
            "use --models to name the bundle that built the index"
        )
    items = list(map(NewGalleryItem, found.labels, found.sources, found.vectors))
    checked = None
    if images:
        with open_recognizer(models, None, Engine.auto, None, None) as recognizer:
            checked = check_vectors(recognizer, items, images)
        print_note(f"{count(checked, 'image')} checked: the bundle gives the vectors of the index")
    added = take_in(
        gallery, extractor, items, author=author_or_user(author), note=note or f"imported from {index.name}"
    )
    with _up_to_date(gallery) as opened:
        print_outcome(as_json, gallery, opened, f"{count(added, 'item')} added", added=added, checked=checked)


def push(
    gallery: GalleryArgument,
    uri: Annotated[str, typer.Argument(metavar="URI", help="http://host:19530, or a .db file for Milvus Lite.")],
    collection: Annotated[str, typer.Option(metavar="NAME", help="Collection; created if missing.")] = "shitu",
    token: Annotated[
        str, typer.Option(envvar="MILVUS_TOKEN", help="Token, if the server requires one.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Update a Milvus collection from a gallery. Only changes are sent.

    Example: shitu-edge gallery push shop.gallery http://milvus:19530
    """
    from ...gallery.milvus import push as push_to_milvus

    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        done = push_to_milvus(opened, uri, collection, token=token, progress=partial(report, "items"))
    if as_json:
        record = {"revision": done.revision, "added": done.added, "removed": done.removed}
        print_json({"gallery": gallery, "uri": uri, "collection": collection, **record})
    else:
        print_line(f"{uri}, {collection}: at revision {done.revision}, {done.added} added, {done.removed} removed")


def _range(text: str) -> tuple[int, int | None]:
    base, dots, head = text.partition("..")
    try:
        if not dots:
            raise ValueError
        return int(base), int(head) if head else None
    except ValueError:
        raise typer.BadParameter(f"expected revisions as BASE..HEAD or BASE.., found {text!r}") from None


@contextmanager
def _up_to_date(path: Path) -> Iterator[Gallery]:
    """Open a gallery after a change, with its index brought up to date if it needs one."""
    with Gallery.open(path, background=False) as gallery:
        with progress_bar() as report:
            bring_up_to_date(gallery, read_cpu().threads, report)
        yield gallery
