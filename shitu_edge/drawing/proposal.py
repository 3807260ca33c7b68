"""A proposed view as an image: the empty counter, the region, zones, and all boxes that were seen."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw

from ..camera.proposal import CameraProposal, SightingKind
from .sheet import ALARM, INK, LINE, MARGIN, blank, write

_WIDTH = 960
"""Pixels of the empty counter's longer side."""
_COLORS: dict[SightingKind, str] = {
    "object": "#0072b2",
    "background": "#6b6b6b",
    "ignored": "#d55e00",
    "stray": "#a67c00",
}
_NAMES: dict[SightingKind, str] = {
    "object": "objects",
    "background": "background, dropped",
    "ignored": "in zones to ignore",
    "stray": "seen once, not counted",
}
_LETTERS = 115
"""Of a line of a note."""
_REGION, _IGNORED, _PAPER = "#008f68", "#d55e00", "#ffffff"

_Point = tuple[float, float]


def draw_proposal(found: CameraProposal) -> Image.Image:
    """Return the empty counter with the region in green, zones to ignore in orange, and a thin frame per box seen.

    Below are the sizes that count, drawn to scale, and the notes.
    """
    assert found.view.empty is not None  # a proposal has one
    small = Image.fromarray(np.asarray(found.view.empty.pixels_rgb))
    scale = _WIDTH / max(found.width, found.height)
    photo = small.resize((round(found.width * scale), round(found.height * scale)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(photo)
    for one in sorted(found.sightings, key=lambda one: one.kind == "object"):
        x1, y1, x2, y2 = _pixels([one.box_xyxy[:2], one.box_xyxy[2:]], photo)
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=_COLORS[one.kind])
    for zone, color in _zones(found):
        corners = _pixels(zone, photo)
        for width, ink in ((5, _PAPER), (3, color)):
            pen.line([*corners, *corners[:2]], fill=ink, width=width)
    return _with_legend(photo, found)


def _zones(found: CameraProposal) -> Iterator[tuple[list[_Point], str]]:
    if found.view.region is not None:
        yield _corners(found.view.region), _REGION
    for zone in found.view.ignore:
        yield _corners(zone), _IGNORED


def _corners(zone: object) -> list[_Point]:
    """Return the corners of a zone of a view, which stores each as its corners."""
    return [(float(x), float(y)) for x, y in np.asarray(zone, np.float64)]


def _pixels(points: object, photo: Image.Image) -> list[float]:
    flat = np.asarray(points, np.float64).reshape(-1, 2) * (photo.width - 1, photo.height - 1)
    return [float(value) for value in flat.ravel()]


def _with_legend(photo: Image.Image, found: CameraProposal) -> Image.Image:
    lines = list(_lines(found))
    sheet = blank(max(photo.width, _WIDTH) + 2 * MARGIN, photo.height + (len(lines) + 1) * LINE + 3 * MARGIN)
    sheet.paste(photo, (MARGIN, MARGIN))
    y = photo.height + 2 * MARGIN
    for text, color in lines:
        write(sheet, (MARGIN, y), text, sheet.width - 2 * MARGIN, color)
        y += LINE
    return sheet


def _lines(found: CameraProposal) -> Iterator[tuple[str, str]]:
    view = found.view
    yield f"{found.frames} frames, {found.empty_frames} of them empty", INK
    yield f"region: {'the whole image' if view.region is None else 'inside the green line'}", _REGION
    yield f"sizes: {found.sizes or 'any'} of the region's longer side; tiles: {view.tiles}", INK
    for kind, color in _COLORS.items():
        if number := found.count(kind):
            yield f"{number} boxes: {_NAMES[kind]}", color
    for note in found.notes:
        yield from ((line, ALARM) for line in wrap(note, _LETTERS))
