"""`shitu-edge gallery copy`, `patch`, `apply`, `export`, `import`, `import-paddleclas` and `push`."""

from __future__ import annotations

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
from ...gallery.transfer.patch import apply_patch, write_patch
from ...system.cpu import read_cpu
from ..options import Author, Engine, GalleryArgument, Models, Note, author_or_user, extractor_of, open_recognizer
from ..printing import print_line, print_message
from ..tables import progress_bar
from .look import print_state

NewOrOld = Annotated[
    Path, typer.Argument(metavar="GALLERY", help="Gallery file: is made where there is none, else added to.")
]


def copy(
    gallery: GalleryArgument,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The new file.")],
) -> None:
    """Copy a gallery with its index, also while it is in use.

    Example: shitu-edge gallery copy shop.gallery /media/usb/shop.gallery
    """
    with Gallery.open(gallery, background=False) as opened:
        opened.copy(target)
    print_line(f"{target}: a copy of {gallery}")


def patch(
    gallery: GalleryArgument,
    revisions: Annotated[
        str, typer.Argument(metavar="BASE..[HEAD]", help="The revision to start from, and the one to arrive at.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The patch file.")],
) -> None:
    """Write what changed between two revisions into a file, for copies of the gallery on other machines.

    Example: shitu-edge gallery patch shop.gallery 7..9 -o week-12.patch
    """
    base, head = _range(revisions)
    with Gallery.open(gallery, background=False) as opened:
        info = write_patch(opened, base, opened.revision if head is None else head, out)
    print_line(
        f"{out}: revisions {info.base} to {info.head}, {info.added} added, {info.removed} removed, "
        f"{info.bytes / 1e3:,.0f} kB"
    )


def apply(
    gallery: GalleryArgument,
    patch_file: Annotated[Path, typer.Argument(metavar="PATCH", help="A file that `gallery patch` wrote.")],
) -> None:
    """Bring a copy of a gallery to the revision of a patch; all of it or, when anything is wrong, nothing.

    Example: shitu-edge gallery apply shop.gallery week-12.patch
    """
    with Gallery.open(gallery, background=False) as opened:
        info = apply_patch(opened, patch_file)
        if info is None:
            print_line(f"{gallery}: has the patch already, and is at revision {opened.revision}")
            return
    _bring_up_to_date(gallery, f"{info.added} added, {info.removed} removed")


def export(
    gallery: GalleryArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Is made, and must not be there.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Copy the images too: the folder in which they are found.", show_default=False),
    ] = None,
) -> None:
    """Write a gallery's items as files that other programs read: labels.tsv, embeddings.npy, gallery.json.

    Example: shitu-edge gallery export shop.gallery shop-export/ --images products/
    """
    if images and not images.is_dir():
        raise typer.BadParameter(f"there is no folder {images}", param_hint="--images")
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        copied = export_folder(opened, folder, images=images, progress=partial(report, "items"))
        items = len(opened)
    print_line(f"{folder}: {items} items" + (f", {copied} with their images" if images else ""))


def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `gallery export` wrote.")],
    gallery: NewOrOld,
    note: Note = "",
    author: Author = None,
) -> None:
    """Take in an exported folder.

    Example: shitu-edge gallery import shop-export/ shop.gallery
    """
    added = import_folder(folder, gallery, author=author_or_user(author), note=note)
    _bring_up_to_date(gallery, f"{added} items added")


def import_paddleclas(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="A folder with vector.index and id_map.pkl or id_map.yaml.")
    ],
    gallery: NewOrOld,
    models: Models = None,
    images: Annotated[
        Path | None,
        typer.Option(help="The folder of the index's images, to check by some that the bundle is the right one."),
    ] = None,
    note: Note = "",
    author: Author = None,
) -> None:
    """Take in a gallery of PaddleClas or PaddleX, without their software; pickles are read, never run.

    The bundle must hold the extractor that the index was built with. Vectors of another one look just alike, so check
    with --images if the images are at hand.

    Example: shitu-edge gallery import-paddleclas index/ shop.gallery --models models/ppshitu-v2
    """
    extractor = extractor_of(models)
    found = read_paddle_index(index)
    if found.vectors.shape[1] != extractor.dim:
        raise GalleryError(
            f"{index}: holds vectors of {found.vectors.shape[1]} numbers, the extractor {extractor.extractor} gives "
            f"{extractor.dim}; name the bundle of the one it was built with"
        )
    items = list(map(NewGalleryItem, found.labels, found.sources, found.vectors))
    if images:
        with open_recognizer(models, None, Engine.auto, None, None) as recognizer:
            checked = check_vectors(recognizer, items, images)
        print_message(f"{checked} images give the vectors of the index")
    added = take_in(
        gallery, extractor, items, author=author_or_user(author), note=note or f"imported from {index.name}"
    )
    _bring_up_to_date(gallery, f"{added} items added")


def push(
    gallery: GalleryArgument,
    uri: Annotated[str, typer.Argument(metavar="URI", help="http://host:19530, or a .db file for Milvus Lite.")],
    collection: Annotated[str, typer.Option(help="The collection's name; it is made where it is missing.")] = "shitu",
    token: Annotated[
        str, typer.Option(envvar="MILVUS_TOKEN", help="For servers that ask for one.", show_default=False)
    ] = "",
) -> None:
    """Bring a Milvus collection to the gallery's revision; only what has changed is sent.

    Example: shitu-edge gallery push shop.gallery http://milvus:19530
    """
    from ...gallery.milvus import push as push_to_milvus

    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        done = push_to_milvus(opened, uri, collection, token=token, progress=partial(report, "items"))
    print_line(f"{uri}, {collection}: at revision {done.revision}, {done.added} added, {done.removed} removed")


def _range(text: str) -> tuple[int, int | None]:
    base, dots, head = text.partition("..")
    try:
        if not dots:
            raise ValueError
        return int(base), int(head) if head else None
    except ValueError:
        raise typer.BadParameter(f"expected BASE..HEAD or BASE.., found {text!r}") from None


def _bring_up_to_date(path: Path, what: str) -> None:
    """Have the index follow what was just done, where it has to, and say what it was."""
    with Gallery.open(path, background=False) as gallery:
        with progress_bar() as report:
            bring_up_to_date(gallery, read_cpu().threads, report)
        print_state(path, gallery, what)
