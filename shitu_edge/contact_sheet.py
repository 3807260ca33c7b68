"""Pairs of pictures side by side, for a person to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from .decode import decode
from .draw import readable
from .errors import ImageError

_SIDE = 220
_MARGIN = 16
_TEXT = 15
_LINE = 22
_PAIRS_A_ROW = 3
_PAPER, _INK, _FAINT = "#ffffff", "#1a1a1a", "#6b6b6b"


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture, what it is called, and a fainter line below."""

    path: Path
    title: str
    line: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures and what is to be said of both."""

    heading: str
    first: Captioned
    second: Captioned


def contact_sheet(pairs: Sequence[Pair]) -> Image.Image:
    """Return a sheet with three pairs a row; a picture that cannot be read is an empty frame."""
    width, height = 2 * _SIDE + 3 * _MARGIN, _SIDE + 3 * _LINE + 2 * _MARGIN
    columns = min(_PAIRS_A_ROW, max(1, len(pairs)))
    rows = max(1, -(-len(pairs) // columns))
    sheet = Image.new("RGB", (columns * width, rows * height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, pair in enumerate(pairs):
        x, y = number % columns * width + _MARGIN, number // columns * height + _MARGIN
        _write(pen, (x, y), pair.heading, 2 * _SIDE + _MARGIN, _INK)
        for picture, left in ((pair.first, x), (pair.second, x + _SIDE + _MARGIN)):
            frame = (left, y + _LINE, left + _SIDE, y + _LINE + _SIDE)
            _place(sheet, pen, picture.path, frame)
            _write(pen, (left, frame[3] + 2), picture.title, _SIDE, _INK)
            _write(pen, (left, frame[3] + 2 + _LINE), picture.line, _SIDE, _FAINT)
    return sheet


def _place(sheet: Image.Image, pen: ImageDraw.ImageDraw, path: Path, frame: tuple[int, int, int, int]) -> None:
    """Put a picture into a frame, whole and in its middle."""
    pen.rectangle(frame, outline="#d0d0d0")
    try:
        photo = Image.fromarray(decode(path, enough_side=_SIDE).pixels_rgb)
    except ImageError:
        return
    photo.thumbnail((_SIDE - 2, _SIDE - 2))
    left = (frame[0] + frame[2] - photo.width) // 2
    sheet.paste(photo, (left, (frame[1] + frame[3] - photo.height) // 2))


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, colour: str) -> None:
    """Write a line, cut off where the width ends."""
    text, font = readable(text, "?", _TEXT)
    if pen.textlength(text, font=font) > width:
        while text and pen.textlength(text + "…", font=font) > width:
            text = text[:-1]
        text += "…"
    pen.text(place, text, font=font, fill=colour)
