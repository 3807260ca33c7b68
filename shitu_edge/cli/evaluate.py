"""`shitu-edge evaluate`: how well a gallery recognizes labeled images, or its own items."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..drawing.contact_sheet import Captioned, Pair, contact_sheet
from ..drawing.draw import save
from ..drawing.page import Table
from ..evaluation import Evaluation, LabeledPhoto, evaluate, leave_one_out, pipeline_recall, read_queries
from ..evaluation.report import facts, page, tables
from ..gallery import Gallery
from ..stages.second_look import LookMode
from ..system.files import check_writable, file_inside, write_aside
from .camera import Camera, view_of
from .drawings import is_drawing
from .options import (
    AsJson,
    Engine,
    EngineOption,
    GalleryArgument,
    Look,
    Models,
    PrecisionOption,
    SecondLookOption,
    Threads,
    open_recognizer,
)
from .printing import print_line, print_message
from .tables import print_facts, print_json, print_table, progress_bar


class Style(str, Enum):
    """Values of --as."""

    shitu_edge = "shitu-edge"
    paddleclas = "paddleclas"


def evaluate_gallery(
    gallery: GalleryArgument,
    queries: Annotated[
        Path | None,
        typer.Argument(
            metavar="QUERIES",
            help="Labeled images: a folder per label, a label file, COCO, YOLO, Pascal VOC, or scenes.json. "
            "[default: the gallery's own items, each without itself]",
            show_default=False,
        ),
    ] = None,
    models: Models = None,
    second_look: SecondLookOption = Look.auto,
    crop: Annotated[
        bool, typer.Option("--crop", help="Crop each image with one label to the product that it shows.")
    ] = False,
    style: Annotated[
        Style,
        typer.Option(
            "--as",
            metavar="shitu-edge|paddleclas",
            help="paddleclas: print the recall@k of its eval_shitu_pipeline.py instead.",
        ),
    ] = Style.shitu_edge,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    html_to: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots.")] = None,
    draw_to: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="FILE",
            help="Draw the worst queries next to the items they found into this .png or .jpg file.",
        ),
    ] = None,
    camera: Camera = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Folder of the gallery's images, for --draw.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well a gallery recognizes.

    Reports retrieval, labels against false accepts and, for images with boxes, detections and whole baskets.

    Labels that the gallery does not have count as unknown objects. With boxes, photos are also recognized as a whole.

    Example: shitu-edge evaluate shop.gallery test-photos --html report.html
    """
    if draw_to and not is_drawing(draw_to):
        raise typer.BadParameter(f"expected a name that ends in .png or .jpg, found {draw_to}", param_hint="--draw")
    for out in (html_to, draw_to):
        if out:
            check_writable(out)
    photos = None if queries is None else read_queries(queries)
    if style is Style.paddleclas and photos is None:
        raise typer.BadParameter("expected QUERIES with --as paddleclas")
    if crop and photos is None:
        raise typer.BadParameter("expected QUERIES with --crop: the gallery's own items are embedded already")
    view = view_of(camera, None, None)
    look: LookMode = second_look.value
    with (
        Gallery.open(gallery, background=False) as opened,
        open_recognizer(models, opened, engine, precision, threads, second_look=look, view=view) as recognizer,
        progress_bar() as report,
    ):
        if style is Style.paddleclas:
            recalls = pipeline_recall(recognizer, photos or [], lambda *done: report("scenes", *done))
            _print_recalls(recalls, as_json)
            return
        if photos is None:
            evaluation = leave_one_out(recognizer, opened, progress=report)
        else:
            evaluation = evaluate(recognizer, opened, photos, crop=crop, progress=report)
    if html_to:
        write_aside(html_to, page(evaluation).encode())
    if draw_to:
        save(contact_sheet(list(_pairs(evaluation, photos or [], images))), draw_to)
    if as_json:
        print_json(evaluation.as_dict())
        return
    print_facts(dict(facts(evaluation)))
    for table in tables(evaluation):
        _print(table)
    for one in evaluation.skipped:
        print_message(f"skipped {one.source}: {one.reason}")


def _print(table: Table) -> None:
    print_line()
    print_line(table.title)
    if table.rows:
        print_table(table.headings, table.rows)


def _print_recalls(recalls: tuple[float, ...], as_json: bool) -> None:
    if as_json:
        print_json({"schema_version": 1, **{f"recall@{k}": recall for k, recall in enumerate(recalls, 1)}})
        return
    for k, recall in enumerate(recalls, 1):
        print_line(f"recall@{k}  {recall:.4f}")


def _pairs(evaluation: Evaluation, photos: list[LabeledPhoto], images: Path | None) -> list[Pair]:
    """Return the worst queries and the gallery items that they found."""
    paths = {photo.source: photo.path for photo in photos}

    def captioned(source: str, label: str | None, path: Path | None) -> Captioned:
        return Captioned(path or (file_inside(images, source) if images else None), label or "", source)

    return [
        Pair(
            f"{query.label} found {query.nearest} ({query.similarity:.3f})",
            captioned(
                query.source, query.label, paths.get(query.source) or paths.get(query.source.rpartition(" #")[0])
            ),
            captioned(query.item_source, query.nearest, None),
        )
        for query in evaluation.worst
    ]
