"""Letters as masks: the system's DejaVu fonts, OpenCV's pen letters, and invented glyphs of brush strokes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Mask = NDArray[np.uint8]

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-ExtraLight.ttf",
    "DejaVuSansCondensed-Bold.ttf",
    "DejaVuSansCondensed-BoldOblique.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-BoldItalic.ttf",
    "DejaVuSerifCondensed-Bold.ttf",
    "DejaVuSerifCondensed-BoldItalic.ttf",
    "pen 1",
    "pen 3",
    "pen 4",
    "pen 7",
    "pen 16",
)
"""Font files, and Hershey fonts of OpenCV by their number."""

STROKES = 0xE000
"""Characters from here on (Unicode's private use area) are glyphs of strokes that no script has."""

_SIZE = 80


@lru_cache(maxsize=512)
def text_mask(text: str, font: str) -> Mask:
    """Return the tight mask of one or more lines, uint8 (height, width), about 80 px a line."""
    rows = [_line(line, font) for line in text.split("\n")]
    if len(rows) == 1:
        return rows[0]
    gap = _SIZE // 5
    width = max(row.shape[1] for row in rows)
    parts: list[Mask] = []
    for row in rows:
        left = (width - row.shape[1]) // 2
        parts.append(np.pad(row, ((0, gap), (left, width - row.shape[1] - left))))
    return np.concatenate(parts)[:-gap]


def _line(text: str, font: str) -> Mask:
    if text and ord(text[0]) >= STROKES:
        mask = np.concatenate([_glyph(ord(letter), font) for letter in text], axis=1)
    elif font.startswith("pen ") and text.isascii():
        mask = _pen(text, int(font[4:]))
    else:
        mask = _font(text, "DejaVuSans-Bold.ttf" if font.startswith("pen ") else font)
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return np.zeros((_SIZE, _SIZE // 2), np.uint8)
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@lru_cache(maxsize=64)
def _loaded(font: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.truetype(font, _SIZE)
    except OSError:  # no such font on this system: Pillow carries one
        return ImageFont.load_default(_SIZE)


def _font(text: str, font: str) -> Mask:
    loaded = _loaded(font)
    left, top, right, bottom = loaded.getbbox(text)
    image = Image.new("L", (max(1, round(right - left)) + 4, max(1, round(bottom - top)) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, font=loaded, fill=255)
    return np.asarray(image)


def _pen(text: str, font: int) -> Mask:
    scale, width = _SIZE / 30, 5 + font % 4 * 2
    (w, h), base = cv2.getTextSize(text, font, scale, width)
    mask = np.zeros((h + base + 2 * width, w + 2 * width), np.uint8)
    cv2.putText(mask, text, (width, h + width), font, scale, 255, width, cv2.LINE_AA)
    return mask


@lru_cache(maxsize=4096)
def _glyph(code: int, font: str) -> Mask:
    """Return a glyph in a square: one to three parts side by side or stacked, each a few strokes."""
    rng = np.random.default_rng((code, 5))
    width = (4, 7, 10)[FONTS.index(font) % 3]
    mask = np.zeros((_SIZE, _SIZE), np.uint8)
    m = 6
    inner = _SIZE - m
    cut = int(rng.integers(26, 50))
    parts = (
        [(m, m, inner, inner)],
        [(m, m, cut - 4, inner), (cut + 4, m, inner, inner)],
        [(m, m, inner, cut - 4), (m, cut + 4, inner, inner)],
        [(m, m, cut - 4, inner), (cut + 4, m, inner, 34), (cut + 4, 44, inner, inner)],
    )[int(rng.integers(4))]
    for part in parts:
        _strokes(mask, part, rng, width)
    return mask


def _strokes(mask: Mask, part: tuple[int, int, int, int], rng: np.random.Generator, width: int) -> None:
    x1, y1, x2, y2 = part

    def line(*points: tuple[float, float]) -> None:
        moved = np.array(points) + rng.uniform(-0.07, 0.07, (len(points), 2))  # no two hands write alike
        scaled = np.rint((x1, y1) + moved * (x2 - x1, y2 - y1)).astype(np.int32)
        cv2.polylines(mask, [scaled], False, 255, width, cv2.LINE_AA)

    kind = int(rng.integers(5))
    if kind == 0:  # an enclosure, crossed
        line((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    if kind in (0, 1):
        for y in np.linspace(0.2, 0.95, int(rng.integers(2, 4))):
            line((float(rng.uniform(0, 0.15)), float(y)), (float(rng.uniform(0.8, 1)), float(y)))
        line((0.5, 0), (0.5, 1))
    elif kind == 2:  # a cross with two legs
        line((0, 0.3), (1, 0.3))
        line((0.5, 0), (0.5, 0.45), (0.1, 1))
        line((0.5, 0.45), (0.95, 1))
    elif kind == 3:  # a hook and drops
        line((0.1, 0.1), (0.9, 0.1), (0.85, 0.9), (0.65, 0.8))
        line((0.35, 0.1), (0.3, 0.6), (0.05, 1))
        line((0.4, 0.45), (0.6, 0.6))
    else:
        for x in (0.1, 0.5, 0.9):
            line((x, float(rng.uniform(0, 0.3))), (x + float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.6, 1))))
        line((0, 0.5), (1, 0.5))
        if rng.random() < 0.5:
            line((0, 1), (1, 1))
