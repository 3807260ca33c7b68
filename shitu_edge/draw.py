"""Recognitions as pictures: boxes and labels over the photo."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

from PIL import Image, ImageDraw, ImageFont

from .decode import Source, decode
from .results import Item, Recognition

_log = logging.getLogger(__name__)

_COLOURS = ("#0072b2", "#008f68", "#d55e00", "#7a3e9d", "#c2408f", "#8b4513", "#a67c00", "#c0392b")
_UNKNOWN = "#5f5f5f"
_FONT_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"),
}
_FONT_PACKAGE = "noto_cjk_sans_otc"
_PREFERRED = ("dejavusans.ttf", "notosans-regular", "arial.ttf", "segoeui.ttf", "helvetica")
_NEVER_A_LETTER = "\U0010fffe"
"""Drawn by every font as its sign for a missing glyph."""


def draw(image: Source, answer: Recognition) -> Image.Image:
    """Return the photo with a box and a label a thing: named in colour, ambiguous dashed, unknown grey.

    Text is drawn with the first font of the system that has every letter of it. Where none has, the item's number in
    `answer.items` stands in the picture and a warning says what to install.
    """
    photo = Image.fromarray(decode(image).pixels_rgb)
    pen = ImageDraw.Draw(photo)
    size = max(12, min(photo.size) // 32)
    # Surest last, so that it lies on top.
    for number, item in reversed(list(enumerate(answer.items, start=1))):
        _draw_item(pen, photo.size, item, number, size)
    return photo


def _draw_item(pen: ImageDraw.ImageDraw, limits: tuple[int, int], item: Item, number: int, size: int) -> None:
    colour = _UNKNOWN if item.label is None else _COLOURS[crc32(item.label.encode()) % len(_COLOURS)]
    line = max(2, size // 6)
    x1, y1, x2, y2 = item.box_xyxy
    corners = (round(x1), round(y1), max(round(x1), round(x2) - 1), max(round(y1), round(y2) - 1))
    if item.decision == "ambiguous":
        _dashed_rectangle(pen, corners, colour, line)
    else:
        x1, y1, x2, y2 = corners
        pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="white", width=line + 2)  # seen on dark photos too
        pen.rectangle(corners, outline=colour, width=line)
    text, font = readable(_caption(item), f"#{number}", size)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    margin = size // 4
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    x = max(0, min(corners[0], limits[0] - width))
    y = corners[1] - height if corners[1] >= height else min(corners[1], limits[1] - height)
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + margin - left, y + margin - top), text, font=font, fill="white")


def _caption(item: Item) -> str:
    name = {"accepted": item.label, "ambiguous": f"{item.label}?", "unknown": "unknown"}[item.decision]
    return f"{name} {item.similarity:.2f}" if item.similarity is not None else str(name)


def _dashed_rectangle(pen: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], colour: str, line: int) -> None:
    x1, y1, x2, y2 = corners
    dash = 5 * line
    for x in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            pen.line((x, y, min(x + dash, x2), y), fill=colour, width=line)
    for y in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            pen.line((x, y, x, min(y + dash, y2)), fill=colour, width=line)


def readable(text: str, instead: str, size: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """Return a text with a font that has all its letters, or what is to be drawn instead where none has."""
    path = _font_for("".join(sorted(set(text) - {" "})))
    if path is not None:
        return text, ImageFont.truetype(path, size)
    return instead, ImageFont.load_default(size)


@lru_cache(maxsize=256)
def _font_for(letters: str) -> str | None:
    """Return the first font file that has all letters."""
    for path in _font_files():
        if _has_letters(path, letters):
            return path
    _warn_of_missing_font()
    return None


@lru_cache(maxsize=1)
def _warn_of_missing_font() -> None:
    _log.warning(
        "no installed font has all letters of some labels, their numbers are drawn: pip install 'shitu-edge[fonts]', "
        "or install a Noto font of their script"
    )


def _has_letters(path: str, letters: str) -> bool:
    try:
        font = ImageFont.truetype(path, 16)
        missing = bytes(font.getmask(_NEVER_A_LETTER))
        return all(bytes(font.getmask(letter)) != missing for letter in letters)
    except (OSError, ValueError):  # not every font file can be scaled
        return False


@lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    """Return the font files of this machine: plain text fonts first, then by name."""
    files = sorted(
        _all_font_files(), key=lambda path: (not path.name.lower().startswith(_PREFERRED), path.name.lower())
    )
    return tuple(str(path) for path in files)


def _all_font_files() -> Iterator[Path]:
    folders = [Path(folder).expanduser() for folder in _FONT_FOLDERS.get(sys.platform, ())]
    package = find_spec(_FONT_PACKAGE)
    if package and package.submodule_search_locations:
        folders += map(Path, package.submodule_search_locations)
    for folder in folders:
        if folder.is_dir():
            yield from (path for path in folder.rglob("*") if path.suffix.lower() in (".ttf", ".otf", ".ttc"))
