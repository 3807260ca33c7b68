"""`shitu-edge gallery log`, `diff`, `rollback` and `prune`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ...gallery import Diff, Gallery
from ..options import AsJson, Author, GalleryArgument, Note, author_or_user
from ..printing import print_line
from ..tables import print_json, print_table

_KEEP = 100


def log(
    gallery: GalleryArgument,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="Show the last so many. [default: all]", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was changed, when, by whom and why; the newest first.

    Example: shitu-edge gallery log shop.gallery -n 10
    """
    with Gallery.open(gallery, background=False) as opened:
        revisions = opened.history.log()[:count]
    if as_json:
        print_json([asdict(revision) for revision in revisions])
        return
    rows = [
        (str(line.id), line.created_at, f"+{line.added}", f"-{line.removed}", line.author, line.note)
        for line in revisions
    ]
    print_table(("revision", "when", "added", "removed", "author", "note"), rows)


def diff(
    gallery: GalleryArgument,
    base: Annotated[int, typer.Argument(metavar="A", help="A revision, as `gallery log` shows them.")],
    head: Annotated[
        int | None, typer.Argument(metavar="[B]", help="Another. [default: the newest]", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what B has and lacks beside A.

    Example: shitu-edge gallery diff shop.gallery 7 9
    """
    with Gallery.open(gallery, background=False) as opened:
        found = opened.history.diff(base, opened.revision if head is None else head)
    if as_json:
        print_json(asdict(found))
    else:
        print_table(("", "item", "label", "source"), _rows(found))


def rollback(
    gallery: GalleryArgument,
    revision: Annotated[int, typer.Argument(metavar="REVISION", help="As `gallery log` shows them.")],
    note: Note = "",
    author: Author = None,
) -> None:
    """Make a gallery what it was at a revision; this is a revision too, so it can be taken back.

    Example: shitu-edge gallery rollback shop.gallery 7 --note "wrong photos"
    """
    with Gallery.open(gallery, background=False) as opened:
        before = opened.revision
        new = opened.history.rollback(revision, author=author_or_user(author), note=note)
        found = opened.history.diff(before, new)
    if new == before:
        print_line(f"{gallery}: is what it was at revision {revision} already")
    else:
        changes = f"{len(found.added)} added, {len(found.removed)} removed"
        print_line(f"{gallery}: revision {new} is what revision {revision} was: {changes}")


def prune(
    gallery: GalleryArgument,
    keep: Annotated[int, typer.Option(min=0, help="Revisions that can still be returned to.")] = _KEEP,
) -> None:
    """Forget what was removed long ago, and give its space back. The log stays.

    Example: shitu-edge gallery prune shop.gallery --keep 20
    """
    with Gallery.open(gallery, background=False) as opened:
        before = opened.info().bytes
        _, items = opened.history.prune(keep)
        freed = before - opened.info().bytes
    print_line(f"{gallery}: {items} removed items forgotten, {max(0, freed) / 1e6:.1f} MB freed")


def _rows(found: Diff) -> list[tuple[str, str, str, str]]:
    """Return the entries by item, a renamed one's old label above its new one."""
    signed = [("-", entry) for entry in found.removed] + [("+", entry) for entry in found.added]
    signed.sort(key=lambda pair: (pair[1].id, pair[0] == "+"))
    return [(sign, str(entry.id), entry.label, entry.source) for sign, entry in signed]
