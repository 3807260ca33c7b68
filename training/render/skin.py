"""The flat surface of a turned body: bottle, can, jar, tub, pouch or fruit, from top to bottom and all round."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from . import label
from .colors import BLACK, WHITE, luminance, mix
from .design import Design

_ROWS = 420
_METAL = (196, 198, 200)


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """A body's surface: rows from top to bottom, columns once round, the front in the middle.

    color: uint8 RGB (H, W, 3). clear: uint8 (H, W), 255 where light passes. gloss, metal: float32 (H,), 0–1.
    lid: uint8 RGB (S, S, 3), the top seen from above. smaller: color and clear at a half, a quarter and an eighth.
    """

    color: Pixels
    clear: Pixels
    gloss: NDArray[np.float32]
    metal: NDArray[np.float32]
    lid: Pixels
    smaller: list[tuple[Pixels, Pixels]]

    def at(self, height: int) -> tuple[Pixels, Pixels]:
        """Return color and clear, about as fine as a body of `height` px shows them."""
        for color, clear in reversed(self.smaller):
            if color.shape[0] > 0.7 * height:
                return color, clear
        return self.color, self.clear


def skin_of(design: Design, scale: float = 1.0) -> Skin:
    """Draw a body's surface; scale 1 suits pictures where its longer side is up to 400 px."""
    rows = round(_ROWS * scale / max(1.0, 2 * max(design.radii)))
    round_ = 4.0 if design.kind == "pouch" else 2 * np.pi
    columns = max(64, round(round_ * max(design.radii) * rows))
    skin = Skin(
        np.empty((rows, columns, 3), np.uint8),
        np.zeros((rows, columns), np.uint8),
        np.full(rows, design.gloss, np.float32),
        np.zeros(rows, np.float32),
        np.empty((96, 96, 3), np.uint8),
        [],
    )
    skin.color[:] = design.body
    skin.lid[:] = design.cap
    {"bottle": _bottle, "can": _can, "jar": _jar, "tub": _tub, "pouch": _pouch, "fruit": _fruit}[design.kind](
        skin, design
    )
    color, clear = skin.color, skin.clear
    for _ in range(3):
        half = (max(8, color.shape[1] // 2), max(8, color.shape[0] // 2))
        color = cv2.resize(color, half, interpolation=cv2.INTER_AREA)
        clear = cv2.resize(clear, half, interpolation=cv2.INTER_AREA)
        skin.smaller.append((color, clear))
    return skin


def _wrap(skin: Skin, design: Design, top: float, bottom: float) -> None:
    """Lay the label round the body: front, sides, back; or a front sticker."""
    rows, columns = skin.clear.shape
    y1, y2 = max(0, round(top * rows)), min(rows, round(bottom * rows))
    height = y2 - y1
    front_width = round(columns * (design.label_width if design.label_width < 1 else 0.31))
    front = label.front(design, front_width, height)
    middle = columns // 2
    x1 = middle - front_width // 2
    metal = design.metal if design.kind in ("can", "bottle") else design.metal * 0.6
    if design.label_width < 1:
        shape = np.full((height, front_width), 255, np.uint8)
        if design.label_round:
            shape[:] = 0
            cv2.ellipse(shape, (front_width // 2, height // 2), (front_width // 2, height // 2), 0, 0, 360, 255, -1)
        inside = shape > 0
        skin.color[y1:y2, x1 : x1 + front_width][inside] = front[inside]
        skin.clear[y1:y2, x1 : x1 + front_width][inside] = 0
        return
    skin.color[y1:y2] = label.ground(design, columns, height)
    skin.clear[y1:y2] = 0
    skin.color[y1:y2, x1 : x1 + front_width] = front
    behind = label.back(design, round(columns * 0.26), height)
    twice = design.logo_seed % 5 < 2
    if twice:  # many cans show their front on both sides
        half = front_width // 2
        skin.color[y1:y2, :half] = front[:, front_width - half :]
        skin.color[y1:y2, columns - (front_width - half) :] = front[:, : front_width - half]
        side = label.back(design, round(columns * 0.12), height)
        skin.color[y1:y2, x1 + front_width : x1 + front_width + side.shape[1]] = side
    else:
        half = behind.shape[1] // 2
        skin.color[y1:y2, :half] = behind[:, behind.shape[1] - half :]
        skin.color[y1:y2, columns - (behind.shape[1] - half) :] = behind[:, : behind.shape[1] - half]
    skin.metal[y1:y2] = metal


def _bottle(skin: Skin, design: Design) -> None:
    rows, columns = skin.clear.shape
    cap = round(design.cap_height * rows)
    skin.gloss[:] = min(1.0, design.gloss + 0.25)
    if design.clear:
        level = round(design.level * rows)
        dark = luminance(design.body) < 110
        skin.clear[:level] = 205
        skin.clear[level:] = 95 if dark else 165
        skin.color[:level] = mix(design.body, WHITE, 0.75) if not dark else mix(design.body, WHITE, 0.25)
        skin.color[level - 2 : level + 1] = mix(design.body, BLACK, 0.3)
    _wrap(skin, design, design.label_top, design.label_bottom)
    if design.logo_seed % 4 == 0 and design.shoulder > 0.25 and design.label_top > design.shoulder - 0.01:
        y1, y2 = round((cap / rows + 0.03) * rows), round(design.shoulder * rows * 0.75)
        if y2 - y1 > 8:
            skin.color[y1:y2] = label.ground(design, columns, y2 - y1)
            skin.clear[y1:y2] = 0
            w = columns // 3
            rect = ((columns - w) // 2, y1 + 2, w, y2 - y1 - 4)
            label.write(skin.color, design.brand, design.brand_font, rect, design.brand_ink)
    ridges = 1 + 0.1 * np.sign(np.sin(np.arange(columns) / columns * 2 * np.pi * 40))
    skin.color[:cap] = np.clip(np.array(design.cap) * ridges[None, :, None], 0, 255)
    skin.color[cap - 3 : cap] = mix(design.cap, BLACK, 0.35)
    skin.clear[:cap] = 0
    skin.gloss[:cap] = 0.3


def _can(skin: Skin, design: Design) -> None:
    rows = skin.clear.shape[0]
    _wrap(skin, design, design.label_top, design.label_bottom)
    for part in (slice(0, round(design.label_top * rows)), slice(round(design.label_bottom * rows), rows)):
        skin.color[part] = _METAL
        skin.metal[part] = 1.0
        skin.gloss[part] = 0.8
    skin.lid[:] = _METAL
    cv2.circle(skin.lid, (48, 48), 46, (120, 122, 126), 3, cv2.LINE_AA)
    cv2.circle(skin.lid, (48, 48), 40, (176, 178, 182), 2, cv2.LINE_AA)
    cv2.ellipse(skin.lid, (48, 64), (13, 20), 0, 0, 360, (150, 152, 156), 2, cv2.LINE_AA)
    cv2.ellipse(skin.lid, (48, 42), (9, 15), 0, 0, 360, (222, 224, 226), 4, cv2.LINE_AA)
    cv2.ellipse(skin.lid, (48, 42), (10, 16), 0, 0, 360, (110, 112, 116), 1, cv2.LINE_AA)


def _jar(skin: Skin, design: Design) -> None:
    rows = skin.clear.shape[0]
    skin.gloss[:] = min(1.0, design.gloss + 0.3)
    if design.clear:
        skin.clear[round(0.15 * rows) :] = 60
        skin.clear[round(0.15 * rows) : round(0.24 * rows)] = 200
    _wrap(skin, design, design.label_top, design.label_bottom)
    lid = round(design.cap_height * rows)
    skin.color[:lid] = design.cap
    skin.color[lid - 4 : lid] = mix(design.cap, BLACK, 0.3)
    skin.clear[:lid] = 0
    skin.metal[:lid] = 0.5 * (design.logo_seed % 2)
    cv2.circle(skin.lid, (48, 48), 38, mix(design.cap, WHITE, 0.2), 3, cv2.LINE_AA)


def _tub(skin: Skin, design: Design) -> None:
    rows = skin.clear.shape[0]
    _wrap(skin, design, design.label_top, 1.0)
    lid = round(design.cap_height * rows)
    skin.color[:lid] = mix(design.cap, WHITE, 0.15)
    skin.color[lid - 2 : lid] = mix(design.cap, BLACK, 0.25)
    skin.lid[:] = (
        label.front(design, 140, 140)[22:118, 22:118] if design.logo_seed % 2 else mix(design.cap, WHITE, 0.15)
    )


def _pouch(skin: Skin, design: Design) -> None:
    rows, columns = skin.clear.shape
    half = columns // 2
    skin.color[:] = label.back(design, columns, rows)
    skin.color[:, half // 2 : half // 2 + half] = label.front(design, half, rows)
    for y1, y2 in ((0, round(0.06 * rows)), (round(0.945 * rows), rows)):
        ridges = 1 + 0.12 * np.sin(np.arange(y2 - y1) * 1.6)
        skin.color[y1:y2] = np.clip(np.array(design.second) * ridges[:, None, None], 0, 255)
    skin.metal[:] = design.metal * 0.5
    skin.gloss[:] = min(1.0, design.gloss + 0.2)


def _fruit(skin: Skin, design: Design) -> None:
    rows, columns = skin.clear.shape
    rng = np.random.default_rng((design.grain_seed, 8))
    coarse = cv2.resize(rng.random((5, 7)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.random((rows // 4, columns // 4)).astype(np.float32), (columns, rows))
    height = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    share = np.clip(1.3 * coarse - 0.3 + 0.5 * (height - 0.5) + 0.25 * (fine - 0.5), 0, 1)[..., None]
    share *= float(rng.choice([0.15, 0.5, 1.0]))
    color = np.array(design.body, np.float32) * (1 - share) + np.array(design.cap, np.float32) * share
    spots = (cv2.GaussianBlur(rng.random((rows, columns)).astype(np.float32), (0, 0), 1.2) > 0.68)[..., None]
    spots = spots & bool(rng.random() < 0.6)
    darker = mix(design.body, (90, 60, 30) if rng.random() < 0.6 else WHITE, 0.5)
    color = np.where(spots, np.array(darker, np.float32), color)
    stripes = rng.random() < 0.15
    if stripes:
        color *= 1 - 0.35 * (np.sin(np.arange(columns) / columns * 2 * np.pi * 9)[None, :, None] > 0.3)
    skin.color[:] = np.clip(color, 0, 255)
    top = np.clip(1 - height * 18, 0, 1)[..., None]
    skin.color[:] = skin.color * (1 - top) + np.array((96, 78, 40)) * top
    if rng.random() < 0.35:
        side = max(12, rows // 9)
        drawn = np.zeros((side, side, 4), np.uint8)
        cv2.circle(drawn, (side // 2, side // 2), side // 2 - 1, (*design.second, 255), -1, cv2.LINE_AA)
        label.paste(skin.color, drawn, columns // 2 - side // 2, rows // 3)
    skin.gloss[:] = float(rng.choice([0.05, 0.25, 0.6]))
    skin.lid[:] = (96, 78, 40)
