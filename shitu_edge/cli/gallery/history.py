"""`shitu-edge gallery log`, `diff`, `rollback` and `prune`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from ...gallery import Diff, Gallery, GalleryItem, Revision
from ..options import AsJson, Author, GalleryArgument, Note, author_or_user
from ..printing import count, print_line
from ..tables import print_json, print_table
from .outcome import print_outcome

_KEEP = 100
_SIGNS = {"removed": "-", "added": "+"}


def log(
    gallery: GalleryArgument,
    most: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, help="Number of revisions to show. [default: all]", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the revisions of a gallery, newest first.

    Example: shitu-edge gallery log shop.gallery -n 10
    """
    with Gallery.open(gallery, background=False) as opened:
        revisions = opened.history.log()[:most]
    if as_json:
        for line in revisions:
            record = asdict(line)
            print_json({"revision": record.pop("id"), **record})
        return
    rows = [
        (str(line.id), _minute(line), f"+{line.added}", f"-{line.removed}", line.author, line.note)
        for line in revisions
    ]
    print_table(("revision", "when (UTC)", "added", "removed", "author", "note"), rows)


def _minute(revision: Revision) -> str:
    """Return when a revision was made, `2026-01-31 12:59`."""
    return revision.created_at[:16].replace("T", " ")


def diff(
    gallery: GalleryArgument,
    base: Annotated[int, typer.Argument(metavar="A", help="Revision, as listed by `gallery log`.")],
    head: Annotated[
        int | None,
        typer.Argument(metavar="B", help="Revision to compare with. [default: the newest]", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the differences between two revisions.

    Example: shitu-edge gallery diff shop.gallery 7 9
    """
    with Gallery.open(gallery, background=False) as opened:
        found = opened.history.diff(base, opened.revision if head is None else head)
    changes = _changes(found)
    if as_json:
        for change, item in changes:
            print_json({"change": change, **asdict(item)})
        if found.settings:
            print_json({"change": "settings", "names": found.settings})
        return
    if changes:
        rows = [(_SIGNS[change], str(item.id), item.label, item.source) for change, item in changes]
        print_table(("", "item", "label", "source"), rows)
    if found.settings:
        print_line(f"settings changed: {', '.join(found.settings)}")
    elif not changes:
        print_line("no differences")


def rollback(
    gallery: GalleryArgument,
    revision: Annotated[int, typer.Argument(metavar="REVISION", help="Revision, as listed by `gallery log`.")],
    note: Note = "",
    author: Author = None,
    as_json: AsJson = False,
) -> None:
    """Restore an earlier revision. This makes a new revision, which can be rolled back too.

    Example: shitu-edge gallery rollback shop.gallery 7 --note "wrong photos"
    """
    with Gallery.open(gallery, background=False) as opened:
        before = opened.revision
        new = opened.history.rollback(revision, author=author_or_user(author), note=note)
        found = opened.history.diff(before, new)
        what = f"{len(found.added)} added, {len(found.removed)} removed, as in revision {revision}"
        print_outcome(
            as_json,
            gallery,
            opened,
            f"already as in revision {revision}, nothing changed" if new == before else what,
            restored=revision,
            added=len(found.added),
            removed=len(found.removed),
            added_ids=[item.id for item in found.added],
            removed_ids=[item.id for item in found.removed],
        )


def prune(
    gallery: GalleryArgument,
    keep: Annotated[int, typer.Option(min=0, help="Number of newest revisions to keep for rollback.")] = _KEEP,
    as_json: AsJson = False,
) -> None:
    """Delete items removed long ago, to free disk space.

    The log stays, but only the newest --keep revisions can be restored.

    Example: shitu-edge gallery prune shop.gallery --keep 20
    """
    with Gallery.open(gallery, background=False) as opened:
        before = opened.info().bytes
        _, items = opened.history.prune(keep)
        freed = max(0, before - opened.info().bytes)
        what = f"{count(items, 'removed item')} deleted, {freed / 1e6:.1f} MB freed"
        print_outcome(as_json, gallery, opened, what, deleted=items, freed_bytes=freed)


def _changes(found: Diff) -> list[tuple[Literal["removed", "added"], GalleryItem]]:
    """Return the changes by item id, the old label of a renamed item before its new one."""
    changes: list[tuple[Literal["removed", "added"], GalleryItem]] = []
    changes += [("removed", item) for item in found.removed]
    changes += [("added", item) for item in found.added]
    return sorted(changes, key=lambda change: (change[1].id, change[0] == "added"))
