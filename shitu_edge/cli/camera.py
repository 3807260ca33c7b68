"""Options of a mounted camera: which part of its images counts, and how closely it is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from ..stages.view import WHOLE_IMAGE, View

Camera = Annotated[
    Path | None,
    typer.Option(
        "--camera",
        metavar="FILE",
        help="camera.json: region, zones to ignore, sizes and tiles of a mounted camera. [default: none]",
        show_default=False,
    ),
]
Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="ZONE",
        help="Part of the image that counts, as shares from 0 to 1 of its width and height: a box X1,Y1,X2,Y2 or the "
        "corners of a polygon X,Y,X,Y,X,Y. [default: --camera's, or the whole image]",
        show_default=False,
    ),
]
Tiles = Annotated[
    str | None,
    typer.Option(
        "--tiles",
        metavar="NUMBER",
        help="Overlapping parts to look at besides the whole, 1 to 64, each for a run of the detector; auto for 6 if "
        "most objects are small. [default: --camera's, or 1: the whole alone]",
        show_default=False,
    ),
]


def view_of(camera: Path | None, region: str | None, tiles: str | None) -> View:
    """Return the view that the options state.

    Raises:
        typer.BadParameter: a region or a number of tiles is not one.
        OptionError: the file is missing or not a view.
    """
    view = WHOLE_IMAGE if camera is None else View.read(camera)
    given: dict[str, Any] = {}
    if region is not None:
        given["region"] = _zone(region)
    if tiles is not None:
        given["tiles"] = int(tiles) if tiles.isdecimal() and len(tiles) < 10 else tiles
    try:
        return replace(view, **given)
    except OptionError as error:
        raise typer.BadParameter(str(error)) from error


def _zone(text: str) -> Any:
    """Return the numbers of a box, pairs of them for a polygon, or what is not one."""
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        return text
    return numbers if len(numbers) == 4 or len(numbers) % 2 else list(zip(numbers[::2], numbers[1::2], strict=True))
