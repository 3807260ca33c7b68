"""Recognitions as images: boxes and labels on the photo."""

from __future__ import annotations

import logging
import math
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zlib import crc32

from PIL import Image, ImageDraw, ImageFont

from ..imaging.geometry import Pixels
from ..results import Decision, Recognition, RecognizedItem
from ..stages.decode import DEFAULT_LIMITS, DecodeLimits, Source, decode
from ..system.files import write_aside
from ..system.text import shown

_log = logging.getLogger(__name__)

_COLORS = ("#0072b2", "#008f68", "#d55e00", "#7a3e9d", "#c2408f", "#8b4513", "#a67c00", "#c0392b")
_UNKNOWN = "#262626"
_SMALLEST_TEXT = 13
_FONT_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"),
}
_FONT_PACKAGE = "noto_cjk_sans_otc"
_PREFERRED = ("dejavusans.ttf", "notosans-regular", "arial.ttf", "segoeui.ttf", "helvetica")
_MOST_LETTERS = 200
_UNDRAWN = frozenset(" \u200c\u200d")
"""Space and joiners, which need no glyph."""
_NEVER_A_LETTER = "\U0010fffe"
"""Fonts draw it as a missing glyph."""

_Corners = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, inclusive."""


def draw(image: Source, answer: Recognition, *, limits: DecodeLimits = DEFAULT_LIMITS) -> Image.Image:
    """Return the photo with a box and a label per item; a JPEG over the pixel limit at reduced scale.

    A label begins with the item's number in `answer.items`. Labeled items are in color, ambiguous ones dashed, unknown
    objects dashed in black. Text is drawn with the first system font that has all its letters; without one the label is
    left out, and a warning says what to install.
    """
    every_pixel = min(answer.width, answer.height)
    photo = Image.fromarray(decode(image, enough_side=every_pixel, limits=limits).pixels_rgb)
    pen = ImageDraw.Draw(photo)
    size = max(_SMALLEST_TEXT, min(photo.size) // 32)
    colors = _colors(answer.items)
    marked = [(item, _corners(item, photo.width / answer.width), colors[item.label]) for item in answer.items]
    for item, corners, color in reversed(marked):  # best last, so that it is on top
        _draw_box(pen, corners, item.decision, color, max(2, size // 6))
    labels: list[_Corners] = []
    for number, (item, corners, color) in enumerate(marked, start=1):
        labels.append(_draw_label(pen, photo.size, corners, labels, item, number, color, size))
    return photo


def save(image: Image.Image, target: Path) -> None:
    """Write an image atomically, as JPEG if the file's name says so, else as PNG; raises `OSError`."""
    content = BytesIO()
    if target.suffix.lower() in (".jpg", ".jpeg"):
        image.save(content, "JPEG", quality=92, subsampling=0)  # subsampled colors would smear letters
    else:
        image.save(content, "PNG")
    write_aside(target, content.getvalue())


def save_pixels(pixels_rgb: Pixels, target: Path) -> None:
    """Write pixels (h, w, 3) uint8 RGB as `save` does."""
    save(Image.fromarray(pixels_rgb), target)


def _corners(item: RecognizedItem, scale: float) -> _Corners:
    x1, y1, x2, y2 = (round(side * scale) for side in item.box_xyxy)
    return x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)


def _colors(items: Sequence[RecognizedItem]) -> dict[str | None, str]:
    """Return a color per label: the same in every image, unless a better item has it already."""
    chosen: dict[str | None, str] = {None: _UNKNOWN}
    for item in items:
        if item.label is not None and item.label not in chosen:
            first = crc32(item.label.encode()) % len(_COLORS)
            own = _COLORS[first:] + _COLORS[:first]
            chosen[item.label] = next((color for color in own if color not in chosen.values()), own[0])
    return chosen


def _draw_box(pen: ImageDraw.ImageDraw, corners: _Corners, decision: Decision, color: str, line: int) -> None:
    x1, y1, x2, y2 = corners
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="white", width=line + 2)  # visible on dark photos
    if decision == "accepted":
        pen.rectangle(corners, outline=color, width=line)
    else:
        _dashed_rectangle(pen, corners, color, line)


def _dashed_rectangle(pen: ImageDraw.ImageDraw, corners: _Corners, color: str, line: int) -> None:
    x1, y1, x2, y2 = corners
    dash = 4 * line
    for x in range(x1, x2, 2 * dash):
        for y in (y1, y2 - line + 1):
            pen.rectangle((x, y, min(x + dash, x2), y + line - 1), fill=color)
    for y in range(y1, y2, 2 * dash):
        for x in (x1, x2 - line + 1):
            pen.rectangle((x, y, x + line - 1, min(y + dash, y2)), fill=color)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    limits: tuple[int, int],
    box: _Corners,
    labels: Sequence[_Corners],
    item: RecognizedItem,
    number: int,
    color: str,
    size: int,
) -> _Corners:
    """Write number and caption near a box, away from other labels if possible; return the place."""
    margin = size // 4
    numeral, numeral_font = readable(str(number), "", size)
    chip = round(numeral_font.getlength(numeral)) + 2 * margin
    text, font = readable(_caption(item), _similarity(item), size, limits[0] - chip - 2 * margin)
    width, height = chip + round(font.getlength(text)) + 2 * margin, size + 2 * margin
    x, y = _place_label(box, (width, height), limits, labels)
    pen.rectangle((x, y, x + width, y + height), fill=color)
    pen.rectangle((x + 1, y + 1, x + chip, y + height - 1), fill="white")
    middle = y + height / 2
    pen.text((x + margin, middle), numeral, font=numeral_font, fill=color, anchor="lm")
    pen.text((x + chip + margin, middle), text, font=font, fill="white", anchor="lm")
    return x, y, x + width, y + height


def _place_label(
    box: _Corners, size: tuple[int, int], limits: tuple[int, int], labels: Sequence[_Corners]
) -> tuple[int, int]:
    """Return the first free place in the image: above the box, in its top, below it, in its bottom."""
    width, height = size
    lowest = limits[1] - height - 1
    x = max(0, min(box[0], limits[0] - width - 1))
    free = [
        y
        for y in (box[1] - height, box[1], box[3], box[3] - height)
        if 0 <= y <= lowest and not any(_overlap((x, y, x + width, y + height), label) for label in labels)
    ]
    return x, free[0] if free else max(0, min(box[1], lowest))


def _overlap(one: _Corners, other: _Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _caption(item: RecognizedItem) -> str:
    name = {"accepted": item.label, "ambiguous": f"{item.label}?", "unknown": "unknown"}[item.decision]
    return f"{name} {_similarity(item)}".rstrip()


def _similarity(item: RecognizedItem) -> str:
    return "" if item.similarity is None else f"{item.similarity:.2f}"


def readable(
    text: str, instead: str, size: int, width: float = math.inf
) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """Return a text and a font that has all its letters; without such a font, the text `instead`.

    The text is made safe by `shown`, and cut off at `width` pixels.
    """
    text = shown(text, _MOST_LETTERS)
    path = _font_for("".join(sorted(set(text) - _UNDRAWN)))
    if path is None:
        return instead, ImageFont.load_default(size)
    font = ImageFont.truetype(path, size)
    if font.getlength(text) > width:
        cuts = range(1, len(text))
        text = text[: bisect_right(cuts, width, key=lambda cut: font.getlength(f"{text[:cut]}…"))] + "…"
    return text, font


@lru_cache(maxsize=256)
def _font_for(letters: str) -> str | None:
    """Return the first font file with all letters."""
    for path in _font_files():
        if _has_letters(path, letters):
            return path
    _warn_of_missing_font()
    return None


@lru_cache(maxsize=1)
def _warn_of_missing_font() -> None:
    _log.warning(
        "no installed font has all letters of some labels, which are left out: pip install noto-cjk-sans-otc, "
        "or install a Noto font of their script"
    )


def _has_letters(path: str, letters: str) -> bool:
    try:
        font = ImageFont.truetype(path, 16)
        missing = bytes(font.getmask(_NEVER_A_LETTER))
        return all(bytes(font.getmask(letter)) != missing for letter in letters)
    except (OSError, ValueError):  # some font files cannot be scaled
        return False


@lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    """Return the font files of this machine: plain text fonts first, then by name."""
    files = sorted(
        _all_font_files(), key=lambda path: (not path.name.lower().startswith(_PREFERRED), path.name.lower())
    )
    return tuple(str(path) for path in files)


def _all_font_files() -> Iterator[Path]:
    folders = [Path(os.path.expanduser(folder)) for folder in _FONT_FOLDERS.get(sys.platform, ())]
    package = find_spec(_FONT_PACKAGE)
    if package and package.submodule_search_locations:
        folders += map(Path, package.submodule_search_locations)
    for folder in folders:
        if folder.is_dir():
            yield from (path for path in folder.rglob("*") if path.suffix.lower() in (".ttf", ".otf", ".ttc"))
