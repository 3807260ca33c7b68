"""A turned body (bottle, can, jar, tub, pouch, fruit) seen by a camera: geometry, shading, highlights."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .design import Design
from .outlines import SAMPLES
from .skin import Skin
from .sprite import Sprite, View

Floats = NDArray[np.float32]
_PLACES = 256
_TILTS = {"pouch": 0.12, "fruit": 0.0}
"""A pouch is flat, and a fruit looks much the same from above."""


def draw_turned(design: Design, skin: Skin, view: View, height: int) -> Sprite:
    """Return the body as a sprite of about `height` px.

    The camera is far away: a point at height t (from the top) and angle a of a body of radius r(t) is seen at
    x = r sin a, y = t cos(pitch) + r cos(a) sin(pitch).
    """
    below = view.pitch < 0  # seen from below: turned upside down, drawn, and turned back
    radii = np.array(design.radii[::-1] if below else design.radii, np.float32)
    pitch = abs(view.pitch) * _TILTS.get(design.kind, 1.0)
    s, c = float(np.sin(pitch)), float(np.cos(pitch))
    unit = height / (c + s * (radii[0] + radii[-1]))
    width = int(np.ceil(2 * radii.max() * unit)) + 4
    x = ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / unit)[None]
    y = ((np.arange(height + 4, dtype=np.float32) - 1.5) / unit - s * radii[0])[:, None]
    t, r, outline = _solve(radii, x, y, s, c)
    ratio = np.clip(x / np.maximum(r, 1e-4), -1, 1)
    cover = np.clip((outline - np.abs(x)) * unit + 0.5, 0, 1) * np.clip((1 - t) * unit * c + 0.5, 0, 1)
    cover *= t > -0.5 / unit if s < 0.02 else t >= 0
    t = np.clip(t, 0, 1)
    rows = t[::-1] if below else t
    if below:  # upside down and back again, left and right stay
        rows = 1 - t
    color, clear = _look_up(design, skin, view.yaw, ratio, rows, height)
    paint, through = _shade(design, skin, view, radii, ratio, t, rows, color, clear)
    if s >= 0.02:
        _lid(skin, view, radii[0], x, y, s, unit, paint, through, cover, below)
    return _sprite(paint, through, cover, below)


def _solve(radii: Floats, x: Floats, y: Floats, s: float, c: float) -> tuple[Floats, Floats, Floats]:
    """Return height and radius of the body at each pixel, and the half width of its outline.

    Height and radius are found by a few steps of fixed-point iteration, which is steady but near the outline.
    """
    shape = np.broadcast_shapes(x.shape, y.shape)
    straight = y / np.float32(c)
    outline = np.interp(straight[:, 0], np.linspace(0, 1, SAMPLES), radii).astype(np.float32)[:, None]
    t: Floats = np.broadcast_to(straight, shape)
    r: Floats = np.broadcast_to(outline, shape)
    for _ in range(3 if s >= 0.02 else 0):
        t = (y - np.float32(s) * np.sqrt(np.maximum(r * r - x * x, 0))) / np.float32(c)
        place = np.clip(t * (SAMPLES - 1), 0, SAMPLES - 1.001)
        low = place.astype(np.int32)
        r = radii[low] + (radii[low + 1] - radii[low]) * (place - low)
    return t, r, outline


def _look_up(design: Design, skin: Skin, yaw: float, ratio: Floats, rows: Floats, height: int) -> tuple[Floats, Floats]:
    color, clear = skin.at(height)
    turn = (
        ratio * 0.25 + 0.5 + 0.02 * np.sin(yaw)
        if design.kind == "pouch"
        else (np.arcsin(ratio) + yaw) / (2 * np.pi) + 0.5
    )
    columns = ((turn % 1.0) * color.shape[1] - 0.5).astype(np.float32)
    lines = np.clip(rows * color.shape[0] - 0.5, 0, color.shape[0] - 1).astype(np.float32)
    seen = cv2.remap(color, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    passed = cv2.remap(clear, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.astype(np.float32), passed.astype(np.float32) / 255


def _shade(
    design: Design,
    skin: Skin,
    view: View,
    radii: Floats,
    ratio: Floats,
    t: Floats,
    rows: Floats,
    color: Floats,
    clear: Floats,
) -> tuple[Floats, Floats]:
    """Return paint and what passes, float32 (H, W, 3) of 0–255, before the outline is cut out."""
    light = view.light
    lx, ly, lz = light.direction
    rng = np.random.default_rng((light.seed, design.logo_seed))
    # Everything that depends on the place across the body alone is worked out for 256 places.
    across = np.linspace(-1, 1, _PLACES, dtype=np.float32)
    column = np.rint((ratio + 1) * ((_PLACES - 1) / 2)).astype(np.uint8)
    side = 0.75 * across**3 if design.kind == "pouch" else across
    front = np.sqrt(1 - side * side)
    angle = np.arcsin(side)
    shine = np.zeros(_PLACES)
    for where, wide, strength in light.highlights:
        shine += strength * np.exp(-(((angle - where) / wide) ** 2))
    mirrored = np.interp(angle, np.linspace(-1.6, 1.6, 15), rng.uniform(0.5, 1.4, 15)) - 1
    rim = 1 - 0.75 * np.abs(across) ** 7
    # And what depends on the height alone, for each sample of the outline.
    slope = np.gradient(radii, 1 / (SAMPLES - 1)).astype(np.float32)
    up = slope / np.sqrt(1 + slope**2)
    row = np.rint(t * (SAMPLES - 1)).astype(np.uint8)
    lit = (side * lx + front * lz).astype(np.float32)[column] * np.sqrt(1 - up * up)[row] + (up * ly)[row]
    if design.kind == "pouch":
        lit += _crumpled(rng, lit.shape)
    shade = (light.ambient * (0.85 + 0.15 * front)).astype(np.float32)[column] + light.direct * np.maximum(lit, 0)
    line = np.rint(rows * (len(skin.gloss) - 1)).astype(np.int32)
    if skin.metal.max() > 0:
        shade *= 1 + 0.75 * skin.metal[line] * mirrored.astype(np.float32)[column]
    heights = np.linspace(0, 1, SAMPLES)
    along = np.interp(heights, np.linspace(0, 1, 5), rng.uniform(0.3, 1, 5))
    along *= 1 - 0.75 * np.abs(up) if design.kind != "fruit" else np.exp(-((heights - 0.3) ** 2) * 30)
    bright = (190 * shine).astype(np.float32)[column] * along.astype(np.float32)[row] * skin.gloss[line]
    if not clear.any():
        return color * shade[..., None] + bright[..., None], np.zeros_like(color)
    rim = rim.astype(np.float32)[column]
    passing = (clear * rim)[..., None]
    shade *= np.where(clear > 0.1, rim, np.float32(1))
    paint = color * shade[..., None] * (1 - 0.93 * passing) + bright[..., None]
    return paint, passing * color


def _crumpled(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    coarse = cv2.resize(rng.normal(0, 0.17, (7, 5)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, 0.12, (16, 12)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return coarse + fine


def _lid(
    skin: Skin,
    view: View,
    radius: float,
    x: Floats,
    y: Floats,
    s: float,
    unit: float,
    paint: Floats,
    through: Floats,
    cover: Floats,
    below: bool,
) -> None:
    """Paint the disc on top (or the foot, seen from below) into the arrays."""
    rows = min(len(y), int(np.ceil(2 * s * radius * unit)) + 4)
    paint, through, cover = paint[:rows], through[:rows], cover[:rows]
    px, py = np.broadcast_arrays(x / radius, y[:rows] / (s * radius))
    distance = np.sqrt(px * px + py * py)
    share = np.clip((1 - distance) * radius * s * unit + 0.5, 0, 1).astype(np.float32)
    c, sn = np.cos(view.yaw), np.sin(view.yaw)
    middle, side = (skin.lid.shape[0] - 1) / 2, skin.lid.shape[0] / 2
    columns = (middle + side * (c * px - sn * py)).astype(np.float32)
    lines = (middle + side * (sn * px + c * py)).astype(np.float32)
    lid = skin.lid if not below else np.full_like(skin.lid, skin.color[-4:].reshape(-1, 3).mean(0).astype(np.uint8))
    seen = cv2.remap(lid, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    light = view.light
    bright = light.ambient + light.direct * max(0.1, light.direction[1]) * (0.9 + 0.25 * px)
    if below:
        bright = 0.6 * bright * (0.7 + 0.3 * distance)
    share3 = share[..., None]
    paint[:] = paint * (1 - share3) + seen * bright[..., None] * share3
    through[:] = through * (1 - share3)
    np.maximum(cover, share, out=cover)


def _sprite(paint: Floats, through: Floats, cover: Floats, below: bool) -> Sprite:
    mask = np.rint(cover * 255).astype(np.uint8)
    share = mask[..., None] / np.float32(255)
    pixels = np.clip(paint * share, 0, 255).astype(np.uint8)
    passing = np.clip(through * share + 255 * (1 - share), 0, 255).astype(np.uint8)
    if below:
        pixels, passing, mask = pixels[::-1], passing[::-1], mask[::-1]
    return Sprite(np.ascontiguousarray(pixels), np.ascontiguousarray(passing), np.ascontiguousarray(mask))
