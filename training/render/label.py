"""The flat label: ground, pattern, brand, variety, picture, small print, the back with its table and bar code."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from .colors import BLACK, WHITE, Color, ink_on, luminance, mix
from .design import Design, Slot
from .pictures import logo, picture
from .sprite import shared
from .words import sentence
from .writing import text_mask

Floats = NDArray[np.float32]
Rect = tuple[int, int, int, int]
"""Left, top, width and height in px."""


def front(design: Design, width: int, height: int) -> Pixels:
    """Return the front of the label, uint8 RGB (height, width, 3)."""
    canvas = ground(design, width, height)
    rng = np.random.default_rng((design.grain_seed, 3))
    for slot in design.slots:
        _fill_slot(canvas, design, slot, rng)
    return canvas


def ground(design: Design, width: int, height: int) -> Pixels:
    """Return the label's ground alone, uint8 RGB (height, width, 3); it may repeat to the side."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = design.paper
    y, x = np.linspace(0, 1, height, dtype=np.float32)[:, None], np.linspace(0, 1, width, dtype=np.float32)[None]
    share = _second_share(design.ground, x, y)
    if share is not None:
        full = np.ascontiguousarray(np.broadcast_to(share * np.float32(255), (height, width)).astype(np.uint8))
        second = design.accent if design.grain_seed % 2 and design.ground != "frame" else design.second
        _blend(canvas, cv2.blur(full, (3, 3)), 0, 0, second)
    _pattern(canvas, design, x, y)
    return canvas


def _second_share(kind: str, x: Floats, y: Floats) -> NDArray[np.bool_] | Floats | None:
    """Return where the second color is, or how much of it."""
    share: NDArray[np.bool_] | Floats | None = None
    if kind == "fade":
        share = np.clip(np.float32(1.6) * y - np.float32(0.5), 0, 1)
    elif kind == "split":
        share = y > 0.62
    elif kind == "wave":
        share = y > 0.6 + 0.07 * np.sin(2 * np.pi * x)
    elif kind == "diagonal":
        share = y > 0.75 - 0.35 * np.abs(2 * x - 1)
    elif kind == "arch":
        share = y > 0.45 + 0.9 * (x - 0.5) ** 2
    elif kind == "frame":
        share = (y < 0.05) | (y > 0.95)
    return share


def _pattern(canvas: Pixels, design: Design, x: Floats, y: Floats) -> None:
    height, width = canvas.shape[:2]
    aspect = height / width
    color = mix(design.paper, design.second if luminance(design.paper) > 60 else WHITE, 0.22)
    n = 3 + design.logo_seed % 9
    marks = _marks(design.pattern, x, y * aspect, n, design.logo_seed % 3 - 1)
    if marks is not None:
        full = np.ascontiguousarray(np.broadcast_to(marks, (height, width)).astype(np.uint8) * 255)
        _blend(canvas, cv2.blur(full, (3, 3)), 0, 0, color)
    elif design.pattern in ("scatter", "bubbles"):
        rng = np.random.default_rng((design.logo_seed, 4))
        for _ in range(22):
            side = max(4, round(width * float(rng.uniform(0.04, 0.16))))
            px, py = round(width * float(rng.random()) - side / 2), round(height * float(rng.random()) - side / 2)
            if design.pattern == "scatter":
                paste(canvas, picture(design.picture, design.picture_color, color, side), px, py, 0.75)
            else:
                cv2.circle(canvas, (px, py), side // 2, color, max(1, side // 8), cv2.LINE_AA)


def _marks(kind: str, x: Floats, y: Floats, n: int, lean: int) -> NDArray[np.bool_] | None:
    """Return where a pattern of n repetitions is; x and y in the same unit."""
    marks: NDArray[np.bool_] | None = None
    if kind == "dots":
        marks = np.hypot(x * n % 1 - 0.5, y * n % 1 - 0.5) < 0.22
    elif kind == "stripes":
        marks = (x * n + lean * y * n) % 1 < 0.4
    elif kind == "rays":
        marks = (np.arctan2(y - 0.45 * y[-1], x - 0.5) * n * 2 / np.pi) % 1 < 0.5
    elif kind == "checks":
        marks = (x * n % 1 < 0.5) ^ (y * n % 1 < 0.5)
    elif kind == "waves":
        marks = (y * n + 0.25 * np.sin(4 * np.pi * x)) % 1 < 0.35
    return marks


def _fill_slot(canvas: Pixels, design: Design, slot: Slot, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    x, y = round(slot.x * width), round(slot.y * height)
    w, h = max(4, round(slot.width * width)), max(4, round(slot.height * height))
    if slot.role == "brand":
        _brand(canvas, design, (x, y, w, h))
    elif slot.role == "variety":
        _variety(canvas, design, (x, y, w, h))
    elif slot.role in ("picture", "logo"):
        side = min(w, h)
        if slot.role == "logo":
            drawn = logo(design.logo_seed, design.brand_ink, design.paper, side)
        else:
            drawn = picture(design.picture, design.picture_color, design.second, side)
        several = slot.role == "picture" and w > 1.7 * h and design.logo_seed % 3 == 0
        for shift in (-0.62, 0.62, 0.0) if several else (0.0,):
            paste(canvas, drawn, x + round((w - side) / 2 + shift * side), y + (h - side) // 2)
    elif slot.role == "badge":
        mark = mix(design.accent, BLACK, 0.1)
        cv2.circle(canvas, (x + w // 2, y + w // 2), w // 2, mark, -1, cv2.LINE_AA)
        text = ("BIO", "0%", "NEW", "+C", "1 L", "100%", "XXL", "eco")[design.logo_seed % 8]
        inside = (x + w // 8, y + w // 4, w * 3 // 4, w // 2)
        write(canvas, text, "DejaVuSans-Bold.ttf", inside, ink_on(mark, WHITE))
    else:
        small_print(canvas, design, rng, (x, y, w, h))


def _brand(canvas: Pixels, design: Design, rect: Rect) -> None:
    x, y, w, h = rect
    ink, paper = design.brand_ink, design.paper
    if design.plaque and not design.upright:
        paper = design.second
        ink = ink_on(paper, design.paper)
        _plaque(canvas, design.plaque, paper, rect)
        rect = x + w // 10, y + h // 7, w - w // 5, h - 2 * (h // 7)
    else:
        under = canvas[max(0, y) : y + h, max(0, x) : x + w].reshape(-1, 3).mean(0)
        ink = ink_on((round(under[0]), round(under[1]), round(under[2])), ink)
    mask = text_mask(design.brand, design.brand_font)
    mask = np.ascontiguousarray(np.rot90(mask)) if design.upright else _bent(mask, design.slant, design.arch)
    edge = mix(ink, WHITE if luminance(ink) < 128 else BLACK, 0.85) if design.edge else None
    _fit(canvas, mask, rect, ink, edge)


def _variety(canvas: Pixels, design: Design, rect: Rect) -> None:
    x, y, w, h = rect
    ink = design.brand_ink
    style = design.logo_seed % 3
    if style == 0:
        cv2.rectangle(canvas, (x, y), (x + w, y + h), design.accent, -1)
        ink = ink_on(design.accent, WHITE)
        rect = x + w // 16, y + h // 8, w - w // 8, h - 2 * (h // 8)
    else:
        under = canvas[max(0, y) : y + h, max(0, x) : x + w].reshape(-1, 3).mean(0)
        wish = design.accent if style == 1 else design.brand_ink
        ink = ink_on((round(under[0]), round(under[1]), round(under[2])), wish)
    write(canvas, design.variety, design.variety_font, rect, ink)


def _plaque(canvas: Pixels, kind: str, color: Color, rect: Rect) -> None:
    x, y, w, h = rect
    if kind == "ellipse":
        cv2.ellipse(canvas, (x + w // 2, y + h // 2), (w // 2, h // 2), 0, 0, 360, color, -1, cv2.LINE_AA)
    elif kind == "band":
        canvas[max(0, y) : y + h] = color
    elif kind == "rounded":
        r = min(w, h) // 4
        cv2.rectangle(canvas, (x + r, y + r), (x + w - r, y + h - r), color, 2 * r)
        cv2.rectangle(canvas, (x + r, y + r), (x + w - r, y + h - r), color, -1)
    else:
        d = h // 3
        points = [(x, y), (x + w, y), (x + w - d, y + h // 2), (x + w, y + h), (x, y + h), (x + d, y + h // 2)]
        cv2.fillPoly(canvas, [np.array(points, np.int32)], color, cv2.LINE_AA)


def _bent(mask: Pixels, slant: float, arch: float) -> Pixels:
    """Return a mask sheared and bent into an arch; both are shares of its height (arch of a third of its width)."""
    height, width = mask.shape
    if slant:
        extra = round(abs(slant) * height)
        matrix = np.array([[1, -slant, max(0.0, slant) * height], [0, 1, 0]], np.float32)
        mask = cv2.warpAffine(mask, matrix, (width + extra, height))
        height, width = mask.shape
    if arch and width > 1.5 * height:
        rise = arch * min(height, width / 3)
        x = np.linspace(-1, 1, width, dtype=np.float32)
        shift = rise * (x**2 if arch > 0 else 1 - x**2) * np.sign(arch) if arch > 0 else -rise * (1 - x**2)
        yy, xx = np.mgrid[0 : height + round(abs(rise)), 0:width].astype(np.float32)
        mask = cv2.remap(mask, xx, yy - shift[None].astype(np.float32), cv2.INTER_LINEAR, borderValue=0)
    return mask


def write(canvas: Pixels, text: str, font: str, rect: Rect, ink: Color) -> None:
    """Write one or more lines as large as they fit into a rectangle, in its middle."""
    _fit(canvas, text_mask(text, font), rect, ink, None)


def _fit(canvas: Pixels, mask: Pixels, rect: Rect, ink: Color, edge: Color | None) -> None:
    x, y, w, h = rect
    if min(w, h) < 3:
        return
    scale_x = scale_y = min(w / mask.shape[1], h / mask.shape[0])
    scale_y = min(h / mask.shape[0], 1.5 * scale_x)
    scale_x = min(w / mask.shape[1], 1.35 * scale_y)
    size = max(2, round(mask.shape[1] * scale_x)), max(2, round(mask.shape[0] * scale_y))
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA if scale_y < 1 else cv2.INTER_LINEAR)
    left, top = x + (w - size[0]) // 2, y + (h - size[1]) // 2
    if edge is not None:
        r = max(1, size[1] // 14)
        wide = cv2.dilate(np.pad(mask, 2 * r), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)))
        _blend(canvas, wide, left - 2 * r, top - 2 * r, edge)
    _blend(canvas, mask, left, top, ink)


def _blend(canvas: Pixels, mask: Pixels, x: int, y: int, color: Color) -> None:
    """Lay a color over the canvas where the mask is; parts outside are cut off."""
    if windows := shared(canvas.shape, mask.shape, x, y):
        here, there = windows
        dye = cv2.merge([cv2.convertScaleAbs(mask[there], alpha=part / 255) for part in color])
        rest = cv2.merge([255 - mask[there]] * 3)
        canvas[here] = cv2.add(cv2.multiply(canvas[here], rest, scale=1 / 255), dye)


def paste(canvas: Pixels, drawn: Pixels, x: int, y: int, strength: float = 1.0) -> None:
    """Lay an RGBA picture over the canvas; parts outside are cut off."""
    if windows := shared(canvas.shape, drawn.shape, x, y):
        here, there = windows
        piece, part = drawn[there].astype(np.float32), canvas[here].astype(np.float32)
        share = piece[..., 3:] * (strength / 255)
        canvas[here] = (part + share * (piece[..., :3] - part)).astype(np.uint8)


def small_print(canvas: Pixels, design: Design, rng: np.random.Generator, rect: Rect) -> None:
    """Write a few lines of small invented print."""
    x, y, w, h = rect
    under = canvas[max(0, y) : y + h, max(0, x) : x + w].reshape(-1, 3)
    paper = under.mean(0) if len(under) else np.array(design.paper)
    ink = ink_on((round(paper[0]), round(paper[1]), round(paper[2])), design.brand_ink)
    line = max(5, canvas.shape[1] // 22)
    for top in range(y, y + h - line + 1, line * 3 // 2)[:9]:
        length = int(rng.integers(6, 20))
        text = sentence(rng, design.script, length)
        write(canvas, text, design.small_font, (x, top, w, line), ink)


def back(design: Design, width: int, height: int) -> Pixels:
    """Return a side or the back of the label: ground, small print, a table and a bar code; uint8 RGB."""
    canvas = ground(design, width, height)
    rng = np.random.default_rng((design.logo_seed, 6))
    pale = mix(design.paper, WHITE, 0.75)
    x1, x2 = width // 10, width - width // 10
    if design.logo_seed % 2:
        canvas[round(0.3 * height) : round(0.94 * height), x1:x2] = pale
    heading = (x1, round(0.06 * height), x2 - x1, round(0.1 * height))
    write(canvas, design.brand, design.brand_font, heading, design.brand_ink)
    small_print(canvas, design, rng, (x1 + 3, round(0.33 * height), x2 - x1 - 6, round(0.22 * height)))
    ink = ink_on(pale, BLACK)
    for row in range(6):
        y = round((0.58 + 0.028 * row) * height)
        cv2.line(canvas, (x1 + 3, y), (x2 - 4, y), ink, 1)
    _bar_code(canvas, rng, x1 + (x2 - x1) // 6, round(0.78 * height), (x2 - x1) * 2 // 3, round(0.14 * height))
    return canvas


def _bar_code(canvas: Pixels, rng: np.random.Generator, x: int, y: int, w: int, h: int) -> None:
    canvas[y : y + h, x : x + w] = WHITE
    bars = np.repeat(rng.integers(0, 2, 48), 2)
    columns = bars[np.linspace(0, len(bars) - 1, max(1, w - 6)).astype(int)].astype(bool)
    inner = canvas[y + 2 : y + h - h // 5, x + 3 : x + 3 + len(columns)]
    inner[:, columns[: inner.shape[1]]] = BLACK
