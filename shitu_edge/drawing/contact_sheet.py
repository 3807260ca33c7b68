"""Pairs of images side by side, for a person to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .sheet import FAINT, LINE, MARGIN, blank, place, write

_SIDE = 220
_PAIRS_PER_ROW = 3


@dataclass(frozen=True, slots=True)
class Captioned:
    """An image (None: an empty frame), its title, and a fainter line below."""

    path: Path | None
    title: str
    line: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images under a heading."""

    heading: str
    first: Captioned
    second: Captioned


def contact_sheet(pairs: Sequence[Pair]) -> Image.Image:
    """Return a sheet with three pairs per row; an unreadable image is an empty frame."""
    width, height = 2 * _SIDE + 3 * MARGIN, _SIDE + 3 * LINE + 2 * MARGIN
    columns = min(_PAIRS_PER_ROW, max(1, len(pairs)))
    rows = max(1, -(-len(pairs) // columns))
    sheet = blank(columns * width, rows * height)
    for number, pair in enumerate(pairs):
        x, y = number % columns * width + MARGIN, number // columns * height + MARGIN
        write(sheet, (x, y), pair.heading, 2 * _SIDE + MARGIN)
        for image, left in ((pair.first, x), (pair.second, x + _SIDE + MARGIN)):
            frame = (left, y + LINE, left + _SIDE, y + LINE + _SIDE)
            place(sheet, frame, image.path)
            write(sheet, (left, frame[3] + 2), image.title, _SIDE)
            write(sheet, (left, frame[3] + 2 + LINE), image.line, _SIDE, FAINT)
    return sheet
