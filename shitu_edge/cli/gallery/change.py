"""`shitu-edge gallery remove`, `rename`, `relabel` and `look-alikes`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...gallery import Gallery
from ...gallery.care.look_alikes import confirm_look_alikes, look_alikes, separate_look_alikes
from ..options import AsJson, Author, GalleryArgument, Note, author_or_user
from ..printing import count, print_line
from ..tables import print_json
from .outcome import print_outcome

_IDS = "Item ids, as listed by `gallery list --label LABEL`."


def remove(
    gallery: GalleryArgument,
    items: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", help=_IDS, show_default=False),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Remove all items of this label.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="Remove the items from this file.", show_default=False)] = None,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Remove items from a gallery. `gallery rollback` brings them back.

    Example: shitu-edge gallery remove shop.gallery --label "Oat milk 1 l" --note "no longer sold"
    """
    if bool(items) == (label is not None or source is not None):
        raise typer.BadParameter("expected either item ids, or --label or --source, to say which items to remove")
    with Gallery.open(gallery, background=False) as opened:
        removed = opened.remove(items or None, label=label, source=source, author=author_or_user(author), note=note)
        ids = [item.id for item in removed]
        print_outcome(as_json, gallery, opened, f"{count(len(ids), 'item')} removed", removed=len(ids), ids=ids)


def rename(
    gallery: GalleryArgument,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Current label.")],
    new_label: Annotated[str, typer.Argument(metavar="NEW", help="New label.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge with the items that already have the new label.")
    ] = False,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Rename a label.

    Example: shitu-edge gallery rename shop.gallery "Oat milk" "Oat milk 1 l"
    """
    with Gallery.open(gallery, background=False) as opened:
        renamed = opened.rename(label, new_label, merge=merge, author=author_or_user(author), note=note)
        ids = [item.id for item in renamed]
        print_outcome(as_json, gallery, opened, f"{count(len(ids), 'item')} renamed", renamed=len(ids), ids=ids)


def relabel(
    gallery: GalleryArgument,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The items' new label.")],
    items: Annotated[list[int], typer.Argument(metavar="ID", help=_IDS)],
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Move items to another label. `gallery audit` finds items that are mislabeled.

    Example: shitu-edge gallery relabel shop.gallery "Oat milk 1 l" 17 18
    """
    with Gallery.open(gallery, background=False) as opened:
        with opened.change(author=author_or_user(author), note=note) as change:
            relabeled = change.relabel(items, label)
        ids = [item.id for item in relabeled]
        print_outcome(as_json, gallery, opened, f"{count(len(ids), 'item')} relabeled", relabeled=len(ids), ids=ids)


def list_look_alikes(
    gallery: GalleryArgument,
    labels: Annotated[
        list[str] | None,
        typer.Argument(metavar="LABEL", help="Labels that images cannot tell apart; none to list the groups."),
    ] = None,
    separate: Annotated[bool, typer.Option("--separate", help="Take the labels out of their groups instead.")] = False,
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """List or confirm labels that images cannot tell apart.

    `recognize` then always asks: the decision is `ambiguous`.

    `gallery audit` proposes groups.

    Example: shitu-edge gallery look-alikes shop.gallery "Cola 0.5 l" "Cola 1 l"
    """
    if separate and not labels:
        raise typer.BadParameter("expected labels with --separate")
    with Gallery.open(gallery, background=False) as opened:
        if labels:
            change = separate_look_alikes if separate else confirm_look_alikes
            groups = change(opened, labels, author=author_or_user(author), note=note)
        else:
            groups = look_alikes(opened)
        revision = opened.revision
    if as_json:
        print_json({"gallery": gallery, "revision": revision, "look_alikes": groups})
        return
    for group in groups:
        print_line(", ".join(group))
    if not groups:
        print_line("no look-alikes; `gallery audit` proposes groups")
