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
from ...gallery.care.repair import Repair
from ...gallery.care.repair import repair as repair_gallery
from ...gallery.care.verify import Verification
from ...gallery.care.verify import verify as verify_gallery
from ...gallery.index import MOST_LINKS
from ...gallery.store import GalleryItem
from ...ranges import MOST_THREADS
from ...system.cpu import read_cpu
from ...system.files import check_writable, file_inside
from ..drawings import is_drawing
from ..options import AsJson, GalleryArgument, extractor_of, finite
from ..printing import count, print_line, print_note
from ..tables import print_facts, print_json, print_table, progress_bar
from .outcome import print_outcome

_LINES = 20
_PAIRS = 60
_DEFAULTS = GraphParameters()
_LIMITS = AuditLimits()


def reindex(
    gallery: GalleryArgument,
    m: Annotated[
        int | None, typer.Option("--m", min=2, max=MOST_LINKS, help="hnswlib `M`: links per item.", show_default=False)
    ] = None,
    ef_construction: Annotated[
        int | None,
        typer.Option(min=1, help="hnswlib `ef_construction`: search width while building.", show_default=False),
    ] = None,
    ef: Annotated[int | None, typer.Option(min=1, help="hnswlib `ef`: search width.", show_default=False)] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_THREADS, help="Threads. [default: one per physical core]", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the index of a large gallery. It is kept up to date without this.

    Its parameters are stored with the gallery and default to
    those of the last index; without one, to M 32, ef_construction 400, and an ef that grows with the gallery (208 for
    100 000 items).

    Example: shitu-edge gallery reindex shop.gallery
    """
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        before = opened.index.parameters or _DEFAULTS
        parameters = GraphParameters(m or before.m, ef_construction or before.ef_construction, ef or before.ef)
        opened.index.rebuild(parameters, threads=threads or read_cpu().threads, progress=partial(report, "index"))
        used = opened.index.parameters or parameters
        what = f"index of {count(len(opened), 'item')} built"
        print_outcome(as_json, gallery, opened, what, m=used.m, ef_construction=used.ef_construction, ef=used.ef)


def verify(gallery: GalleryArgument, as_json: AsJson = False) -> None:
    """Check a gallery for damage.

    Checks the file, checksums and embeddings, and compares the index with exact search. Exits with 1 if something is
    wrong.

    Example: shitu-edge gallery verify shop.gallery
    """
    with progress_bar() as report:
        found = verify_gallery(gallery, report)
    if as_json:
        print_json({"gallery": gallery, **asdict(found)})
    else:
        for fault in found.faults[:_LINES]:
            print_line(fault)
        for line in found.advice[:_LINES]:
            print_line(f"advice: {line}")
        recall = "" if found.recall is None else f"; the index finds {found.recall:.1%} of the 10 nearest items"
        items = count(found.items, "item")
        print_line(f"{gallery}: {items} in revision {found.revision}: {_verdict(found)}{recall}")
    if found.faults:
        raise typer.Exit(1)


def _verdict(found: Verification) -> str:
    if not found.faults:
        return "no faults"
    faults = count(len(found.faults), "fault")
    if all(fault.startswith("index: ") for fault in found.faults):
        return f"{faults}, in the index alone; `gallery reindex` rebuilds it"
    return f"{faults}; `gallery repair` keeps everything that is intact"


def repair(
    gallery: GalleryArgument,
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "-m",
            metavar="BUNDLE",
            help="Bundle that the gallery was made with, if the damaged file no longer names it.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Repair a damaged gallery.

    Keeps every intact item; the damaged file is kept too, with the suffix .damaged. Close the gallery in all programs
    first. If nothing was lost, the gallery keeps its history. Otherwise earlier
    patches and pushes no longer apply: copy the gallery to the kiosks again.

    Example: shitu-edge gallery repair shop.gallery
    """
    with progress_bar() as report:
        done = repair_gallery(gallery, extractor_of(models) if models else None, partial(report, "entries"))
    with Gallery.open(gallery, background=False) as opened:
        with progress_bar() as report:
            bring_up_to_date(opened, read_cpu().threads, report)
        _report_repair(as_json, gallery, opened, done)


def _report_repair(as_json: bool, path: Path, gallery: Gallery, done: Repair) -> None:
    rescued = done.rescue
    for lost in rescued.lost[:_LINES]:
        print_note(f"lost: {lost}")
    if len(rescued.lost) > _LINES:
        print_note(f"lost: {len(rescued.lost) - _LINES} more")
    if not rescued.complete and not rescued.lost:
        print_note("warning: the checksum of the kept items does not match: some may be missing without a trace")
    history = "" if rescued.history else ", new history"
    print_outcome(
        as_json,
        path,
        gallery,
        f"{rescued.kept} kept, {len(rescued.lost)} lost{history}; original kept as {done.damaged}",
        kept=rescued.kept,
        lost=rescued.lost,
        history_kept=rescued.history,
        complete=rescued.complete,
        damaged=done.damaged,
    )


def audit(
    gallery: GalleryArgument,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the suspicious images side by side into this .png or .jpg file.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, metavar="DIR", help="Folder of the images that --draw shows."),
    ] = Path(),
    similarity: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            callback=finite,
            help="Cosine similarity from which images of two labels are reported as near duplicates.",
        ),
    ] = _LIMITS.near_duplicate,
    as_json: AsJson = False,
) -> None:
    """List suspicious labels and images. These are near duplicates, mislabeled items and confused labels.

    Example: shitu-edge gallery audit shop.gallery --draw audit.png --images products/
    """
    if draw and not is_drawing(draw):
        raise typer.BadParameter(f"expected a name that ends in .png or .jpg, found {draw}", param_hint="--draw")
    if draw:
        check_writable(draw)
    with Gallery.open(gallery, background=False) as opened, progress_bar() as report:
        items = opened.items()
        vectors = opened.embeddings([item.id for item in items])
        limits = replace(_LIMITS, near_duplicate=similarity)
        found = audit_items(items, vectors, opened.search, limits, progress=partial(report, "audit"))
    if draw:
        _draw_pairs(found, images, draw)
    if as_json:
        print_json({"gallery": gallery, **asdict(found)})
    else:
        _print_audit(found)


def _draw_pairs(found: Audit, images: Path, target: Path) -> None:
    pairs = _pairs(found, images)
    drawn = [pair for pair in pairs if pair.first.path or pair.second.path]
    save(contact_sheet(drawn[:_PAIRS]), target)
    missing = len(pairs) - len(drawn)
    print_note(f"{target}: {min(_PAIRS, len(drawn))} of {count(len(pairs), 'pair')} drawn; {missing} not in {images}")


def _pairs(found: Audit, images: Path) -> list[Pair]:
    def captioned(item: GalleryItem) -> Captioned:
        return Captioned(file_inside(images, item.source), item.label, f"{item.id}  {item.source}")

    return [
        Pair(f"{line.entry.id}: rather {line.suggested}?", captioned(line.entry), captioned(line.nearest))
        for line in found.mislabeled
    ] + [
        Pair(f"{pair.similarity:.2f} alike", captioned(pair.first), captioned(pair.second))
        for pair in found.near_duplicates
    ]


def _print_audit(found: Audit) -> None:
    recall = "-" if found.recall_at_1 is None else f"{found.recall_at_1:.1%}"
    print_facts({"items": found.items, "labels": found.labels, "recall@1": recall})
    _section(
        "Likely mislabeled",
        ("item", "label", "source", "suggested", "strength"),
        [(*_cells(line.entry), line.suggested, f"{line.strength:.2f}") for line in found.mislabeled],
    )
    _section(
        "Near duplicates under two labels",
        ("item", "label", "source", "item", "label", "source", "similarity"),
        [(*_cells(pair.first), *_cells(pair.second), f"{pair.similarity:.3f}") for pair in found.near_duplicates],
    )
    _section(
        "Look-alikes; confirm with `gallery look-alikes GALLERY LABEL LABEL`",
        ("labels",),
        [(", ".join(group),) for group in found.look_alikes],
    )
    _section(
        "Confused labels",
        ("A", "B", "A as B", "B as A", "share"),
        [
            (pair.first, pair.second, str(pair.first_as_second), str(pair.second_as_first), f"{pair.share:.0%}")
            for pair in found.confused
        ],
    )
    _section(
        "Not found by their own embedding; try `gallery reindex`",
        ("item", "label", "source"),
        [_cells(item) for item in found.unreachable],
    )


def _section(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a heading and a table, unless it has no rows."""
    if rows:
        print_line()
        print_line(f"{title}: {len(rows)}")
        print_table(headings, rows[:_LINES])
        if len(rows) > _LINES:
            print_line(f"and {len(rows) - _LINES} more; --json prints all")


def _cells(item: GalleryItem) -> tuple[str, str, str]:
    return str(item.id), item.label, item.source
