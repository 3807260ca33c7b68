"""A carton or box seen by a camera: textured faces in space."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from . import label
from .colors import BLACK, WHITE, Color, mix
from .design import Design
from .sprite import Light, Sprite, View

Points = NDArray[np.float64]
_ROWS = 380
_DISTANCE = 4.5
"""Of the camera, in heights of the package."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A flat polygon in space (x right, y down, z to the camera) with a texture or one color.

    corners: float64 (N, 3), four of them (upper left, clockwise) where there is a texture.
    """

    corners: Points
    texture: tuple[Pixels, ...] | None
    """The whole one, and smaller by halves."""
    color: Color


def faces_of(design: Design, scale: float = 1.0) -> tuple[Face, ...]:
    """Return the faces of a carton or box of height 1 about the middle of its body."""
    w, d = design.width / 2, design.depth / 2
    gable = design.kind == "carton" and design.roof
    top = 0.2 * min(1.0, 2.2 * design.depth) if gable else 0.0
    rows = round(_ROWS * scale)

    def texture(kind: str, width: float, height: float) -> tuple[Pixels, ...]:
        size = max(12, round(width * rows)), max(12, round(height * rows))
        drawn = {"front": label.front, "back": label.back, "ground": label.ground}[kind](design, *size)
        if kind == "ground" and not _has_cap(design):
            x, y = size[0] // 8, size[1] // 5
            rect = (x, y, size[0] - 2 * x, size[1] - 2 * y)
            label.write(drawn, design.brand, design.brand_font, rect, design.brand_ink)
        return _halved(drawn)

    front, side = texture("front", 2 * w, 1 - top), texture("back", 2 * d, 1 - top)
    other = front if design.logo_seed % 3 else side
    quads = [
        Face(_quad((-w, top, d), (w, top, d), (w, 1, d), (-w, 1, d)), front, design.paper),
        Face(_quad((w, top, -d), (-w, top, -d), (-w, 1, -d), (w, 1, -d)), front, design.paper),
        Face(_quad((w, top, d), (w, top, -d), (w, 1, -d), (w, 1, d)), side, design.paper),
        Face(_quad((-w, top, -d), (-w, top, d), (-w, 1, d), (-w, 1, -d)), other, design.paper),
    ]
    if gable:
        ridge = 0.3 * top
        slope = texture("ground", 2 * w, float(np.hypot(top - ridge, d)))
        fold = mix(design.paper, BLACK, 0.12)
        quads += [
            Face(_quad((-w, ridge, 0), (w, ridge, 0), (w, top, d), (-w, top, d)), slope, design.paper),
            Face(_quad((w, ridge, 0), (-w, ridge, 0), (-w, top, -d), (w, top, -d)), slope, design.paper),
            Face(_quad((w, top, d), (w, ridge, 0), (w, top, -d)), None, fold),
            Face(_quad((-w, top, -d), (-w, ridge, 0), (-w, top, d)), None, fold),
            Face(_quad((-w, 0, 0.004), (w, 0, 0.004), (w, ridge, 0.004), (-w, ridge, 0.004)), None, design.second),
            Face(_quad((w, 0, -0.004), (-w, 0, -0.004), (-w, ridge, -0.004), (w, ridge, -0.004)), None, design.second),
        ]
    else:
        upper = texture("ground", 2 * w, 2 * d)
        quads.append(Face(_quad((-w, 0, -d), (w, 0, -d), (w, 0, d), (-w, 0, d)), upper, design.paper))
    quads.append(Face(_quad((-w, 1, d), (w, 1, d), (w, 1, -d), (-w, 1, -d)), None, mix(design.paper, WHITE, 0.4)))
    return tuple(quads)


def _quad(*corners: tuple[float, float, float]) -> Points:
    return np.array(corners, float)


def _halved(texture: Pixels) -> tuple[Pixels, ...]:
    levels = [texture]
    while min(levels[-1].shape[:2]) > 16 and len(levels) < 4:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return tuple(levels)


def draw_boxed(design: Design, faces: tuple[Face, ...], view: View, height: int) -> Sprite:
    """Return a carton or box as a sprite of `height` px, in mild perspective."""
    turn = _turn(view)
    caps = _caps(design)
    corners = [_project(face.corners, turn) for face in faces]
    rims = [tuple(_project(ring, turn) for ring in cap) for cap in caps]
    everything = np.concatenate([c for c, _ in corners] + [c for rings in rims for c, _ in rings])
    low, high = everything.min(0), everything.max(0)
    unit = height / (high[1] - low[1])
    width = int(np.ceil((high[0] - low[0]) * unit))
    canvas, mask = np.zeros((height + 4, width + 4, 3), np.uint8), np.zeros((height + 4, width + 4), np.uint8)
    order = sorted(range(len(faces)), key=lambda k: float(corners[k][1].mean()))
    for k in order:
        points = (corners[k][0] - low) * unit + 1.5
        if _area(points) > 0.5:
            normal = np.cross(*(turn @ (faces[k].corners[[1, 2]] - faces[k].corners[0]).T).T)
            _paint_face(canvas, mask, faces[k], points, normal / (np.linalg.norm(normal) + 1e-9), design, view.light)
    for rings in rims:
        _paint_cap(canvas, mask, [(c - low) * unit + 1.5 for c, _ in rings], design.cap, view.light)
    through = np.repeat(255 - mask[..., None], 3, 2)
    return Sprite(cv2.multiply(canvas, np.repeat(mask[..., None], 3, 2), scale=1 / 255), through, mask)


def _turn(view: View) -> Points:
    """Return the rotation: first about the upright axis, then toward the camera."""
    c, s = np.cos(view.yaw), np.sin(view.yaw)
    about = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(view.pitch), np.sin(view.pitch)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ about


def _project(points: Points, turn: Points) -> tuple[Points, Points]:
    """Return where points of space are seen (N, 2) and how near they are (N,)."""
    turned = (points - (0, 0.5, 0)) @ turn.T
    return turned[:, :2] * (_DISTANCE / (_DISTANCE - turned[:, 2:])), turned[:, 2]


def _area(points: Points) -> float:
    """Return the signed area of a polygon; positive where it turns its front to the camera (y runs down)."""
    x, y = points[:, 0], points[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _paint_face(
    canvas: Pixels, mask: Pixels, face: Face, points: Points, normal: Points, design: Design, light: Light
) -> None:
    size = canvas.shape[1::-1]
    shape = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillConvexPoly(shape, np.rint(points * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    lx, ly, lz = light.direction
    shade = light.ambient + light.direct * max(0.0, float(normal @ np.array([lx, -ly, lz])))
    if face.texture is None:
        drawn = np.empty_like(canvas)
        drawn[:] = np.clip(np.array(face.color) * shade, 0, 255)
    else:
        drawn = _textured(face.texture, points, size, shade, design, light)
    share = shape[..., None].astype(np.float32) / 255
    canvas[:] = (canvas + share * (drawn - canvas.astype(np.float32)) + 0.5).astype(np.uint8)
    np.maximum(mask, shape, out=mask)


def _textured(
    levels: tuple[Pixels, ...], points: Points, size: tuple[int, int], shade: float, design: Design, light: Light
) -> Pixels:
    seen = float(np.linalg.norm(points[3] - points[0]) + np.linalg.norm(points[2] - points[1])) / 2
    texture = next((level for level in reversed(levels) if level.shape[0] > 0.7 * seen), levels[0])
    rng = np.random.default_rng((light.seed, design.logo_seed, levels[0].shape[1]))
    slope = rng.uniform(-0.12, 0.12, 2)
    h, w = texture.shape[:2]
    y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    gain = shade * (1 + slope[0] * x + slope[1] * y)
    shine = np.zeros((h, w), np.float32)
    for where, wide, strength in light.highlights[:1]:
        band = np.exp(-(((x * 0.9 + y * 0.5 - 1.6 * where) / (0.25 + wide)) ** 2))
        shine += (90 * design.gloss * strength * band).astype(np.float32)
    lit = np.clip(texture * gain[..., None] + shine[..., None], 0, 255).astype(np.uint8)
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, points.astype(np.float32))
    return cv2.warpPerspective(lit, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _has_cap(design: Design) -> bool:
    return design.kind == "carton" and design.logo_seed % 10 < 7


def _caps(design: Design) -> list[tuple[Points, Points]]:
    """Return lower and upper ring of a screw cap where the carton has one."""
    if not _has_cap(design):
        return []
    a = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    r = min(0.075, 0.3 * design.depth)
    if design.roof:
        top = 0.2 * min(1.0, 2.2 * design.depth)
        d = design.depth / 2
        rise = np.array([0, 0.7 * top, d])
        along = rise / np.linalg.norm(rise)
        normal = np.array([0, -along[2], along[1]])
        middle = np.array([0, 0.3 * top, 0]) + 0.55 * rise
    else:
        along, normal = np.array([0.0, 0, 1]), np.array([0.0, -1, 0])
        middle = np.array([design.width * 0.12, 0, 0.0])
    ring = middle + r * (np.cos(a)[:, None] * np.array([1, 0, 0]) + np.sin(a)[:, None] * along)
    return [(ring, ring + normal * 0.045)]


def _paint_cap(canvas: Pixels, mask: Pixels, rings: list[Points], color: Color, light: Light) -> None:
    hull = cv2.convexHull(np.concatenate(rings).astype(np.float32))[:, 0]
    upper = rings[1]
    for points, shade in ((hull, light.ambient * 0.85), (upper, light.ambient + light.direct * 0.7)):
        scaled = np.rint(points * 16).astype(np.int32)
        dyed = tuple(min(255.0, shade * part) for part in color)
        cv2.fillConvexPoly(canvas, scaled, dyed, cv2.LINE_AA, 4)
        cv2.fillConvexPoly(mask, scaled, 255, cv2.LINE_AA, 4)
