"""`shitu-edge gallery reindex`, `verify`, `repair` and `audit`."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ...drawing.contact_sheet import Captioned, Pair, contact_sheet
from ...drawing.draw import save
from ...enrollment import bring_up_to_date
from ...gallery import Gallery, GraphParameters
from ...gallery.care.audit import Audit, AuditLimits
from ...gallery.care.audit import audit as audit_items
from ...gallery.care.repair import repair as repair_gallery
from ...gallery.care.verify import Verification
from ...gallery.care.verify import verify as verify_gallery
from ...gallery.index import MOST_LINKS
from ...gallery.store import GalleryItem
from ...ranges import MOST_THREADS
from ...system.cpu import read_cpu
from ...system.files import check_writable, file_inside
from ..options import AsJson, GalleryArgument, extractor_of, finite
from ..printing import print_line, print_message
from ..tables import print_facts, print_json, print_table, progress_bar

_LINES = 20
_PAIRS = 60
_DEFAULTS = GraphParameters()
_LIMITS = AuditLimits()


def reindex(
    gallery: GalleryArgument,
    m: Annotated[
        int | None, typer.Option("--m", min=2, max=MOST_LINKS, help="Links an item.", show_default=False)
    ] = None,
    ef_construction: Annotated[
        int | None, typer.Option(min=1, help="How wide links are looked for.", show_default=False)
    ] = None,
    ef: Annotated[int | None, typer.Option(min=1, help="How wide a search looks.", show_default=False)] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_THREADS, help="Threads. [default: a physical core each]", show_default=False),
    ] = None,
) -> None:
    """Build the index of a large gallery anew, as when its file was lost; it is kept up to date without.

    The parameters are hnswlib's, and kept with the gallery. They are those of the last index where not given, or else
    chosen by measured recall: M 32, ef_construction 400, and an ef that grows with the gallery, 208 for 100 000 items.

    Example: shitu-edge gallery reindex shop.gallery
    """
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        before = opened.index.parameters or _DEFAULTS
        parameters = GraphParameters(m or before.m, ef_construction or before.ef_construction, ef or before.ef)
        opened.index.rebuild(parameters, threads=threads or read_cpu().threads, progress=partial(report, "index"))
        items = len(opened)
    print_line(f"{gallery}: {items} items indexed")


def verify(gallery: GalleryArgument, as_json: AsJson = False) -> None:
    """Check a gallery: its file, every digest and embedding, and the index against exact search.

    Exits with 1 where something is wrong.

    Example: shitu-edge gallery verify shop.gallery
    """
    with progress_bar() as report:
        found = verify_gallery(gallery, report)
    if as_json:
        print_json(asdict(found))
    else:
        for fault in found.faults[:_LINES]:
            print_line(fault)
        for line in found.advice[:_LINES]:
            print_line(f"advice: {line}")
        recall = "" if found.recall is None else f", the index finds {found.recall:.1%} of the 10 nearest"
        print_line(f"{gallery}: {found.items} items in revision {found.revision}: {_verdict(found)}{recall}")
    if found.faults:
        raise typer.Exit(1)


def _verdict(found: Verification) -> str:
    if not found.faults:
        return "sound"
    count = "1 fault" if len(found.faults) == 1 else f"{len(found.faults)} faults"
    if all(fault.startswith("graph: ") for fault in found.faults):
        return f"{count} of the index; `gallery reindex` builds it anew"
    return f"{count}; `gallery repair` keeps what is whole"


def repair(
    gallery: GalleryArgument,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", "-m", metavar="BUNDLE", help="What made it, should the file not say that.", show_default=False
        ),
    ] = None,
) -> None:
    """Put all that is whole of a damaged gallery in its place; the damaged file is kept beside it.

    Nobody may have the gallery open. Where nothing is lost it keeps its history; else patches and pushes from before
    fit no more: copy it to the kiosks anew.

    Example: shitu-edge gallery repair shop.gallery
    """
    with progress_bar() as report:
        done = repair_gallery(gallery, extractor_of(models) if models else None, partial(report, "entries"))
    for lost in done.rescue.lost[:_LINES]:
        print_message(f"lost: {lost}")
    if len(done.rescue.lost) > _LINES:
        print_message(f"lost: {len(done.rescue.lost) - _LINES} more")
    history = "" if done.rescue.history else ", its history begins anew"
    if not done.rescue.complete and not done.rescue.lost:
        print_message("its digest is not that of what was kept: items may be missing without a trace")
    print_line(f"{gallery}: {done.rescue.kept} items kept, {len(done.rescue.lost)} lost{history}; was {done.damaged}")
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        bring_up_to_date(opened, read_cpu().threads, report)


def audit(
    gallery: GalleryArgument,
    draw: Annotated[
        Path | None, typer.Option(help="Draw the doubtful images side by side into this file.", show_default=False)
    ] = None,
    images: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="With --draw: the folder in which the images are.")
    ] = Path(),
    similarity: Annotated[
        float,
        typer.Option(min=0, max=1, callback=finite, help="From which cosine on two labels' images are too much alike."),
    ] = _LIMITS.near_duplicate,
    as_json: AsJson = False,
) -> None:
    """List what may be wrong with labels and images: near duplicates, mislabeled items, labels that are confused.

    Example: shitu-edge gallery audit shop.gallery --draw audit.png --images products/
    """
    if draw and draw.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise typer.BadParameter(f"expected a name that ends in .png or .jpg, found {draw}", param_hint="--draw")
    if draw:
        check_writable(draw)
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        entries = opened.items()
        vectors = opened.embeddings([entry.id for entry in entries])
        limits = replace(_LIMITS, near_duplicate=similarity)
        found = audit_items(entries, vectors, opened.search, limits, progress=partial(report, "audit"))
    if draw:
        pairs = _pairs(found, images)
        there = [pair for pair in pairs if pair.first.path or pair.second.path]
        save(contact_sheet(there[:_PAIRS]), draw)
        print_message(
            f"{draw}: {min(_PAIRS, len(there))} of {len(pairs)} pairs; {len(pairs) - len(there)} have no images in "
            f"{images}"
        )
    if as_json:
        print_json(asdict(found))
    else:
        _print_audit(found)


def _pairs(found: Audit, images: Path) -> list[Pair]:
    def captioned(entry: GalleryItem) -> Captioned:
        return Captioned(file_inside(images, entry.source), entry.label, f"{entry.id}  {entry.source}")

    return [
        Pair(f"{line.entry.id}: rather {line.suggested}?", captioned(line.entry), captioned(line.nearest))
        for line in found.mislabeled
    ] + [
        Pair(f"{pair.similarity:.2f} alike", captioned(pair.first), captioned(pair.second))
        for pair in found.near_duplicates
    ]


def _print_audit(found: Audit) -> None:
    recall = "-" if found.recall_at_1 is None else f"{found.recall_at_1:.1%}"
    print_facts({"items": found.items, "labels": found.labels, "found by their own kind": recall})
    _section(
        "Likely mislabeled",
        ("item", "label", "source", "suggested", "strength"),
        [(*_entry(line.entry), line.suggested, f"{line.strength:.2f}") for line in found.mislabeled],
    )
    _section(
        "Alike under two labels",
        ("item", "label", "source", "item", "label", "source", "similarity"),
        [(*_entry(pair.first), *_entry(pair.second), f"{pair.similarity:.3f}") for pair in found.near_duplicates],
    )
    _section(
        "Labels that are confused",
        ("label", "other", "taken for other", "other for it", "share"),
        [
            (pair.first, pair.second, str(pair.first_as_second), str(pair.second_as_first), f"{pair.share:.0%}")
            for pair in found.confused
        ],
    )
    _section(
        "Never found, `gallery reindex` may help",
        ("item", "label", "source"),
        [_entry(entry) for entry in found.unreachable],
    )


def _section(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a heading and a table, and nothing where it has no rows."""
    if rows:
        print_line()
        print_line(f"{title}: {len(rows)}")
        print_table(headings, rows[:_LINES])
        if len(rows) > _LINES:
            print_line(f"and {len(rows) - _LINES} more, all of them with --json")


def _entry(entry: GalleryItem) -> tuple[str, str, str]:
    return str(entry.id), entry.label, entry.source
