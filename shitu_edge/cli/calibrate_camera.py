"""`shitu-edge camera`: the view of a mounted camera, from its frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..camera import CameraProposal, SightingKind, calibrate_camera
from ..errors import OptionError
from ..inputs.folders import images_in
from ..stages.view import View
from ..system.files import check_writable
from .command import Command, command
from .drawings import is_drawing
from .options import AsJson, Engine, EngineOption, Models, PrecisionOption, Threads, open_recognizer
from .printing import count, print_line, print_note, print_skipped
from .tables import print_facts, print_json, progress_bar

_BOXES: dict[SightingKind, str] = {
    "object": "on the counter",
    "background": "background",
    "ignored": "ignored",
    "stray": "seen once",
}

app = typer.Typer(
    help="Set up the view of a mounted camera.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.callback()
def _camera() -> None:
    """Set up the view of a mounted camera."""


@app.command("calibrate", cls=Command)
@command
def calibrate(
    frames: Annotated[
        list[Path],
        typer.Argument(metavar="FRAMES", help="Images of one mounted camera over time, or folders of them."),
    ],
    empty: Annotated[
        list[Path] | None,
        typer.Option(
            "--empty",
            metavar="PATH",
            help="Image, or folder of images, with nothing on the counter; may be repeated. [default: the empty "
            "counter is pieced together from FRAMES]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="camera.json to write, with the image of the empty counter next to it. [default: none]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out if it exists.")] = False,
    draw_to: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="FILE",
            help="Draw the proposal to this file, .png or .jpg. [default: next to --out, as .proposal.png]",
            show_default=False,
        ),
    ] = None,
    models: Models = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Propose the view of a mounted camera from its frames.

    Finds what the camera sees when nothing lies on the counter, the region where things are put, zones to ignore, sizes
    and tiles. About 50 frames of a day are enough: some empty, some with products or hands. Look at the drawing before
    you use the result.

    Example: shitu-edge camera calibrate frames/ --out camera.json
    """
    drawing = draw_to or (None if out is None else out.with_suffix(".proposal.png"))
    _check_targets(out, drawing, force)
    images, cleared = _images(frames), _images(empty or [])
    with (
        open_recognizer(models, None, engine, precision, threads, second_look="off") as recognizer,
        progress_bar() as report,
    ):
        found = calibrate_camera(recognizer, images, cleared, progress=partial(report, "frames"))
    print_skipped(found.skipped)
    if out is not None:
        found.view.write(out)
    if drawing is not None:
        from ..drawing.draw import save
        from ..drawing.proposal import draw_proposal

        save(draw_proposal(found), drawing)
    if as_json:
        print_json({"out": out, "drawn": drawing, **found.as_dict()})
        return
    _print(found, out, drawing)


def _check_targets(out: Path | None, drawing: Path | None, force: bool) -> None:
    """Check early what will be written.

    Raises:
        OptionError: --out exists.
        OSError: a file cannot be written there.
    """
    if drawing is not None and not is_drawing(drawing):
        raise typer.BadParameter(f"expected a name that ends in .png or .jpg, found {drawing}", param_hint="--draw")
    if out is not None and os.path.lexists(out) and not force:
        raise OptionError(f"{out} exists: use --force to replace it, or another name")
    for target in (out, drawing):
        if target is not None:
            check_writable(target)


def _images(named: Sequence[Path]) -> list[Path]:
    """Return the images, those of a folder by name; unused files of a folder are listed on stderr."""
    images: list[Path] = []
    for path in named:
        if not os.path.isdir(path):
            images.append(path)
            continue
        found = images_in(path)
        print_skipped(found.skipped)
        images += found.images
    return images


def _print(found: CameraProposal, out: Path | None, drawing: Path | None) -> None:
    view = found.view
    counts = [f"{number} {what}" for kind, what in _BOXES.items() if (number := found.count(kind))]
    facts: dict[str, object] = {
        "frames": f"{found.frames} of {found.width} × {found.height}, {found.empty_frames} of them empty",
        "boxes": ", ".join(counts) or "none",
        "region": "the whole image" if view.region is None else _box(view),
        "ignore": count(len(view.ignore), "zone"),
        "sizes": f"{found.sizes} of the region's longer side" if found.sizes else "any",
        "tiles": view.tiles,
    }
    written = {"camera file": out, "drawing": drawing}
    print_facts(facts | {name: path for name, path in written.items() if path is not None})
    for note in found.notes:
        print_note(f"note: {note}")
    if out is None:
        print_line("Nothing was written: name a camera.json with --out.")


def _box(view: View) -> str:
    corners = np.asarray(view.region, np.float64)
    return ", ".join(f"{value:g}" for value in (*corners.min(axis=0), *corners.max(axis=0)))
