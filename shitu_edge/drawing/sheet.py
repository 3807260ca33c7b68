"""A white sheet, and images and lines of text on it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from ..errors import ImageError
from ..results import Recognition
from ..stages.decode import decode
from .draw import draw
from .fonts import readable

MARGIN = 16
LINE = 22
INK, FAINT, ALARM = "#1a1a1a", "#6b6b6b", "#c0392b"

_PAPER, _FRAME = "#ffffff", "#d0d0d0"
_TEXT = 15


def blank(width: int, height: int) -> Image.Image:
    """Return an empty sheet."""
    return Image.new("RGB", (width, height), _PAPER)


def place(
    sheet: Image.Image, frame: tuple[int, int, int, int], source: Path | None, answer: Recognition | None = None
) -> None:
    """Draw an image, with a recognition if given, centered in a frame; None or an unreadable image leaves it empty."""
    ImageDraw.Draw(sheet).rectangle(frame, outline=_FRAME)
    if source is None:
        return
    width, height = frame[2] - frame[0], frame[3] - frame[1]
    try:
        photo = Image.fromarray(decode(source, enough_side=max(width, height)).pixels_rgb)
    except ImageError:
        return
    photo.thumbnail((width - 2, height - 2))
    if answer is not None:
        photo = _drawn(photo, answer, width - 2)
    left = (frame[0] + frame[2] - photo.width) // 2
    sheet.paste(photo, (left, (frame[1] + frame[3] - photo.height) // 2))


def _drawn(photo: Image.Image, answer: Recognition, width: int) -> Image.Image:
    """Return the drawing of a photo, which is smaller if an index has to be beside it."""
    drawn = draw(photo, answer)
    if drawn.width > width:
        photo.thumbnail((max(1, photo.width - (drawn.width - width)), photo.height))
        drawn = draw(photo, answer)
    drawn.thumbnail((width, drawn.height))
    return drawn


def write(sheet: Image.Image, at: tuple[int, int], text: str, width: int, color: str = INK, size: int = _TEXT) -> None:
    """Write a line, cut off where the width ends."""
    text, font = readable(text, "?", size, width)
    ImageDraw.Draw(sheet).text(at, text, font=font, fill=color)
