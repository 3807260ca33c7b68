"""`shitu-edge gallery remove`, `rename` and `relabel`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...gallery import Gallery
from ..options import Author, GalleryArgument, Note, author_or_user
from .look import print_state

_NUMBERS = "Item numbers, as `gallery list --label LABEL` shows them."


def remove(
    gallery: GalleryArgument,
    items: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ITEM...]", help=_NUMBERS, show_default=False),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Remove all items of this label.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="Remove what came from this file.", show_default=False)] = None,
    note: Note = "",
    author: Author = None,
) -> None:
    """Remove items from a gallery; `gallery rollback` brings them back.

    Example: shitu-edge gallery remove shop.gallery --label "Oat milk 1 l" --note "not sold any more"
    """
    with Gallery.open(gallery, background=False) as opened:
        removed = opened.remove(items or None, label=label, source=source, author=author_or_user(author), note=note)
        print_state(gallery, opened, f"{len(removed)} removed")


def rename(
    gallery: GalleryArgument,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label as it is.")],
    new_label: Annotated[str, typer.Argument(metavar="NEW", help="The label to be.")],
    merge: Annotated[bool, typer.Option("--merge", help="Join the items that have the new label already.")] = False,
    note: Note = "",
    author: Author = None,
) -> None:
    """Rename a label.

    Example: shitu-edge gallery rename shop.gallery "Oat milk" "Oat milk 1 l"
    """
    with Gallery.open(gallery, background=False) as opened:
        renamed = opened.rename(label, new_label, merge=merge, author=author_or_user(author), note=note)
        print_state(gallery, opened, f"{len(renamed)} renamed")


def relabel(
    gallery: GalleryArgument,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label they should have.")],
    items: Annotated[list[int], typer.Argument(metavar="ITEM...", help=_NUMBERS)],
    note: Note = "",
    author: Author = None,
) -> None:
    """Put items under another label, as when `gallery audit` finds them mislabeled.

    Example: shitu-edge gallery relabel shop.gallery "Oat milk 1 l" 17 18
    """
    with Gallery.open(gallery, background=False) as opened:
        with opened.change(author=author_or_user(author), note=note) as change:
            relabeled = change.relabel(items, label)
        print_state(gallery, opened, f"{len(relabeled)} relabeled")
