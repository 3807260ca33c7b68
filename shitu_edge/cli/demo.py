"""`shitu-edge demo`: recognize the bundled samples, or images of yours, and draw the results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from ..bundle.built_in import SAMPLES
from ..demo.demo import Demo, Seen, run_demo
from ..demo.scenes import Expected, find_photos, is_right
from ..results import RecognizedItem, StageTimes
from .desktop import show
from .options import AsJson, Engine, EngineOption, Models, PrecisionOption, Threads, open_recognizer
from .printing import count, print_left_out, print_line, print_note, print_skipped
from .tables import print_json, print_table, progress_bar


def demo(
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Your own images: DIR/gallery with one subfolder per product (or labels.txt with lines "
            "path<TAB>label), and DIR/scenes with photos to recognize. [default: the bundled samples]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder for the gallery and the drawings.")
    ] = Path("shitu-edge-demo"),
    open_overview: Annotated[
        bool, typer.Option("--open", help="Open the overview in the desktop's image viewer.")
    ] = False,
    models: Models = None,
    as_json: AsJson = False,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
) -> None:
    """Recognize sample scenes and draw the results.

    If scenes/scenes.json lists what the scenes show, as for the samples, every object is compared with it. Exits with
    1 if a product was missed or misnamed, or an unknown object was named.

    Example: shitu-edge demo --open
    """
    with progress_bar() as report:
        done = run_demo(
            lambda gallery: open_recognizer(models, gallery, engine, precision, threads),
            find_photos(SAMPLES if photos is None else photos),
            out,
            report,
        )
    print_skipped(done.unreadable)
    if as_json:
        print_json(_as_dict(done))
    else:
        _print(done)
    left_out = sum(box.reason == "max_boxes" for seen in done.seen for box in seen.answer.dropped)
    print_left_out(left_out, "the bundle's max_boxes")
    if open_overview and (why_not := show(done.overview)):
        print_note(f"{done.overview} cannot be opened: {why_not}")
    if not done.right:
        raise typer.Exit(1)


def _print(done: Demo) -> None:
    judged = bool(done.verdicts)
    headings = ("scene", "#", "decision", "label", "similarity", "detection", *(["expected"] if judged else []), "ms")
    print_table(headings, [row for seen in done.seen for row in _rows(seen, judged)])
    made_by = done.seen[0].answer.made_by
    network = made_by.extractor
    print_line()
    print_line(
        f"{made_by.bundle} on {network.engine} ({network.precision}, {count(network.threads, 'thread')}), "
        "median ms per scene:"
    )
    times = _median_ms(done)
    if not any(seen.answer.second_look.looked for seen in done.seen):
        del times["verify"]
    print_line(", ".join(f"{stage} {ms:.{0 if ms >= 10 else 1}f}" for stage, ms in times.items()))
    print_line()
    print_line(_summary(done))
    print_line(f"overview  {done.overview.resolve()}")
    print_line(f"drawings  {done.drawings.resolve()}")
    print_line(f"gallery   {done.gallery.resolve()}, {count(done.products, 'product')}")


def _rows(seen: Seen, judged: bool) -> Iterator[tuple[str, ...]]:
    """Yield a row per item and per missed object; the first has the scene's name and time."""
    name, ms = seen.scene.name, f"{seen.answer.stage_ms.total:.0f}"
    meant = seen.verdict.meant if seen.verdict else (None,) * len(seen.answer.items)
    for number, (item, thing) in enumerate(zip(seen.answer.items, meant, strict=True), start=1):
        similarity = "" if item.similarity is None else f"{item.similarity:.3f}"
        detection = "whole image" if item.detection_score is None else f"{item.detection_score:.2f}"
        expected = [_compare(item, thing) if seen.verdict else ""] if judged else []
        yield name, str(number), item.decision, item.label or "", similarity, detection, *expected, ms
        name = ms = ""
    for thing in seen.verdict.missed if seen.verdict else ():
        yield name, "", "missed", "", "", "", f"NO: {_called(thing)}", ms
        name = ms = ""
    if name:
        yield name, "", "nothing", "", "", "", *([""] if judged else []), ms


def _compare(item: RecognizedItem, thing: Expected | None) -> str:
    if thing is None:
        return "" if item.decision == "unknown" else "NO: nothing"
    return "yes" if is_right(item, thing) else f"NO: {_called(thing)}"


def _called(thing: Expected) -> str:
    return "unknown" if thing.label is None else thing.label


def _summary(done: Demo) -> str:
    if not done.verdicts:
        items = [item for seen in done.seen for item in seen.answer.items]
        unknown = sum(item.decision == "unknown" for item in items)
        return f"{count(len(done.seen), 'scene')}: {count(len(items) - unknown, 'item')} named, {unknown} unknown"
    products, named, others, unknown, accepts = _totals(done).values()
    summary = f"{named} of {count(products, 'product')} named, {unknown} of {count(others, 'other object')} unknown"
    return f"{summary}, {count(accepts, 'false accept')}" if accepts else summary


def _totals(done: Demo) -> dict[str, int]:
    """Return the counts of all scenes, by their name in JSON."""
    counts = {
        "products": "products",
        "named": "named",
        "unknown_objects": "unknown_objects",
        "unknown": "unknown",
        "false_accepts": "false_accepts",
    }
    return {name: sum(getattr(verdict, field) for verdict in done.verdicts) for name, field in counts.items()}


def _median_ms(done: Demo) -> dict[str, float]:
    times = [seen.answer.stage_ms for seen in done.seen]
    return {field.name: median(getattr(time, field.name) for time in times) for field in fields(StageTimes)}


def _as_dict(done: Demo) -> dict[str, Any]:
    return {
        "right": done.right if done.verdicts else None,
        **(_totals(done) if done.verdicts else {}),
        "median_ms": _median_ms(done),
        "gallery": done.gallery,
        "overview": done.overview,
        "scenes": [
            {
                "image": seen.scene.path,
                "drawn": seen.drawn,
                **seen.answer.as_dict(),
                "verdict": seen.verdict and asdict(seen.verdict),
            }
            for seen in done.seen
        ],
        "unreadable": [asdict(image) for image in done.unreadable],
    }
