"""Empty cabinets: an open fridge, a cooler, a rack; what is in them besides products, and where products can stand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from ..render.colors import BLACK, WHITE, Color, from_hsv, mix
from ..render.occluders import rail
from ..render.poster import write_poster
from ..render.surfaces import Surfaces, backdrop, surface

Corner = tuple[int, int]
Rect = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels."""


@dataclass(frozen=True, slots=True)
class Board:
    """Where products can stand: from `left` to `right`, feet between `back` and `front`, below `ceiling`; pixels."""

    left: int
    right: int
    ceiling: int
    back: int
    front: int


@dataclass(frozen=True, slots=True)
class Cabinet:
    """A picture (H, W, 3) uint8 RGB of an empty cabinet, and its boards from the top down."""

    pixels_rgb: Pixels
    boards: tuple[Board, ...]


def draw_cabinet(rng: np.random.Generator, height: int, width: int, surfaces: Surfaces) -> Cabinet:
    """Draw a cabinet that fills a picture or stands in a room."""
    canvas = cv2.GaussianBlur(backdrop(rng, height, width, surfaces), (0, 0), float(rng.uniform(1, 6)))
    outer = _outline(rng, height, width)
    thick = round(float(rng.uniform(0.015, 0.05)) * min(height, width))
    left, top, right, bottom = outer
    cv2.rectangle(canvas, (left, top), (right, bottom), _paint(rng), -1)
    inner = (left + thick, top + thick, right - thick, bottom - thick)
    deep = float(rng.uniform(0.02, 0.16))
    wall = _shrunk(inner, deep, float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.25, 0.6)))
    _line_with_walls(rng, canvas, inner, wall, surfaces)
    _fit(rng, canvas, wall)
    boards = _put_boards(rng, canvas, inner, wall)
    _light(rng, canvas, inner)
    return Cabinet(canvas, boards)


def _outline(rng: np.random.Generator, height: int, width: int) -> Rect:
    """Return the cabinet's edges: some of them may lie outside of the picture."""
    margins = rng.uniform(-0.12, 0.16, 4) if rng.random() < 0.7 else rng.uniform(-0.12, -0.02, 4)
    left, top, right, bottom = margins * (width, height, width, height)
    return round(left), round(top), round(width - right), round(height - bottom)


def _paint(rng: np.random.Generator) -> Color:
    """Return a color of furniture: white, gray, black, or any."""
    pick = float(rng.random())
    if pick < 0.75:
        return from_hsv(float(rng.random()), float(rng.uniform(0, 0.12)), float(rng.choice([0.1, 0.25, 0.7, 0.9, 1])))
    return from_hsv(float(rng.random()), float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.2, 0.9)))


def _shrunk(rect: Rect, deep: float, eye_x: float, eye_y: float) -> Rect:
    """Return the far end of a space of which `rect` is the near one, seen from a point given in shares of it."""
    left, top, right, bottom = rect
    x, y = left + eye_x * (right - left), top + eye_y * (bottom - top)
    far = [at + deep * (to - at) for at, to in zip(rect, (x, y, x, y), strict=True)]
    return round(far[0]), round(far[1]), round(far[2]), round(far[3])


def _line_with_walls(rng: np.random.Generator, canvas: Pixels, inner: Rect, wall: Rect, surfaces: Surfaces) -> None:
    """Paint the four sides and the back, each lighter or darker; the back may be a surface or show holes or ribs."""
    color = _paint(rng)
    near, far = _corners(inner), _corners(wall)
    for side in range(4):
        following = (side + 1) % 4
        area = np.array([near[side], near[following], far[following], far[side]], np.int32)
        cv2.fillConvexPoly(canvas, area, mix(color, BLACK if rng.random() < 0.6 else WHITE, float(rng.uniform(0, 0.3))))
        cv2.line(canvas, near[side], far[side], mix(color, BLACK, 0.35), 1, cv2.LINE_AA)
    left, top, right, bottom = _visible(wall, canvas)
    if right - left < 8 or bottom - top < 8:
        return
    back = canvas[top:bottom, left:right]
    if rng.random() < 0.25:
        back[:] = surface(rng, bottom - top, right - left, surfaces)
    else:
        back[:] = mix(color, WHITE, float(rng.uniform(0, 0.2)))
        _pattern(rng, back, mix(color, BLACK, float(rng.uniform(0.08, 0.3))))


def _pattern(rng: np.random.Generator, back: Pixels, color: Color) -> None:
    """Draw ribs or the holes of a panel on a back wall; often nothing."""
    height, width = back.shape[:2]
    step = round(float(rng.uniform(0.03, 0.12)) * width) + 3
    pick = float(rng.random())
    if pick < 0.2:
        for x in range(step, width, step):
            cv2.line(back, (x, 0), (x, height), color, max(1, step // 12))
    elif pick < 0.35:
        for y in range(step, height, step):
            cv2.line(back, (0, y), (width, y), color, max(1, step // 12))
    elif pick < 0.45:
        for y in range(step // 2, height, step // 2 + 1):
            for x in range(step // 2, width, step // 2 + 1):
                cv2.circle(back, (x, y), max(1, step // 14), color, -1, cv2.LINE_AA)


def _fit(rng: np.random.Generator, canvas: Pixels, wall: Rect) -> None:
    """Put on the walls what is no product: lamps, thermostats, vents, knobs, a sticker, a poster."""
    left, top, right, bottom = wall
    wide, high = right - left, bottom - top
    if wide < 40 or high < 40:
        return
    ink = mix(_paint(rng), BLACK, float(rng.uniform(0, 0.4)))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.4, 0.15]))):
        y = top + round(float(rng.exponential(0.05)) * high)
        _lamp(rng, canvas, (left + round(float(rng.uniform(0.15, 0.85)) * wide), y), wide)
    if rng.random() < 0.4:
        _vents(rng, canvas, wall, ink)
    for _ in range(int(rng.integers(1, 9)) if rng.random() < 0.7 else 0):
        x = left + round(float(rng.choice([0.02, 0.06, 0.94, 0.98, rng.random()])) * wide)
        _knob(rng, canvas, (x, top + round(float(rng.uniform(0.1, 0.9)) * high)), wide)
    if rng.random() < 0.5:
        width, height = (round(float(rng.uniform(0.06, 0.4)) * length) for length in (wide, high))
        x, y = left + int(rng.integers(0, wide - width)), top + int(rng.integers(0, high - height))
        part = canvas[max(0, y) : y + height, max(0, x) : x + width]
        if min(part.shape[:2]) > 16:
            write_poster(rng, part)


def _lamp(rng: np.random.Generator, canvas: Pixels, at: Corner, wide: int) -> None:
    """Draw a lamp below its housing, which has a dial or a switch: a shade of facets around a bright middle."""
    x, top = at
    size = round(float(rng.uniform(0.03, 0.1)) * wide) + 2
    gray = int(rng.integers(60, 230))
    half = round(size * float(rng.uniform(1.0, 2.2)))
    if rng.random() < 0.7:
        cv2.rectangle(canvas, (x - half, top), (x + half, top + size), (gray, gray, gray), -1)
        dial = (x + round(half * float(rng.uniform(-0.7, 0.7))), top + size // 2)
        cv2.circle(canvas, dial, max(1, size // 3), (gray // 2, gray // 2, gray // 2), -1, cv2.LINE_AA)
        cv2.line(canvas, dial, (dial[0] + size // 4, dial[1] - size // 4), (240, 240, 240), 1, cv2.LINE_AA)
    middle, flat = (x, top + size * 3 // 2), float(rng.uniform(0.5, 1.1))
    facets, warm = int(rng.integers(3, 12)), int(rng.integers(170, 256))
    for step in range(5):
        share = 1 - step / 5
        axes = (round(size * share) + 1, round(size * share * flat) + 1)
        level = float(rng.uniform(0.5, 0.85)) + 0.15 * step / 4
        color = (round(255 * level), round(250 * level), round(warm * level))
        cv2.ellipse(canvas, middle, axes, 0, 0, 360, color, -1, cv2.LINE_AA)
        for facet in range(facets if step in (0, 2) else 0):
            angle = 2 * np.pi * facet / facets
            end = (round(middle[0] + axes[0] * np.cos(angle)), round(middle[1] + axes[1] * np.sin(angle)))
            cv2.line(canvas, middle, end, (round(200 * level),) * 3, 1, cv2.LINE_AA)


def _knob(rng: np.random.Generator, canvas: Pixels, at: Corner, wide: int) -> None:
    """Draw a knob or a bracket of the wall's color with its bright and its shaded side."""
    x, y = at
    height, width = canvas.shape[:2]
    around = canvas[min(height - 1, max(0, y)), min(width - 1, max(0, x))].tolist()
    color: Color = (int(around[0]), int(around[1]), int(around[2]))
    across, down = (round(float(rng.uniform(0.006, 0.03)) * wide) + 1 for _ in range(2))
    shift, turn = max(1, across // 4), float(rng.uniform(0, 180))
    dark, light = mix(color, BLACK, float(rng.uniform(0.15, 0.5))), mix(color, WHITE, float(rng.uniform(0, 0.5)))
    cv2.ellipse(canvas, (x + shift, y + shift), (across, down), turn, 0, 360, dark, -1, cv2.LINE_AA)
    cv2.ellipse(canvas, (x, y), (across, down), turn, 0, 360, light, -1, cv2.LINE_AA)


def _vents(rng: np.random.Generator, canvas: Pixels, wall: Rect, ink: Color) -> None:
    """Draw a row of slots."""
    left, top, right, bottom = wall
    y = top + round(float(rng.uniform(0.05, 0.9)) * (bottom - top))
    slot = max(2, round(float(rng.uniform(0.004, 0.014)) * (right - left)))
    start, end = sorted((left + rng.uniform(0.05, 0.95, 2) * (right - left)).round().astype(int).tolist())
    for x in range(start, end, 2 * slot + 1):
        cv2.rectangle(canvas, (x, y), (x + slot, y + slot * int(rng.integers(1, 4))), ink, -1)


def _put_boards(rng: np.random.Generator, canvas: Pixels, inner: Rect, wall: Rect) -> tuple[Board, ...]:
    """Put two to seven boards into the cabinet; products also stand on its floor."""
    left, top, right, bottom = inner
    count = int(rng.integers(2, 6)) + (bottom - top > 1.2 * (right - left))
    spread = rng.uniform(0.6, 1.4, count) if rng.random() < 0.5 else np.ones(count)
    shares = np.cumsum(spread) / spread.sum()
    draw = _BOARDS[int(rng.integers(len(_BOARDS)))]
    color, thick = _paint(rng), max(2, round(float(rng.uniform(0.005, 0.03)) * (bottom - top)))
    boards, ceiling = [], wall[1]
    for share in shares.tolist():
        front, back = top + share * (bottom - top), wall[1] + share * (wall[3] - wall[1])
        if back > front:  # seen from below
            back = front
        ends = ((wall[0], round(back)), (wall[2], round(back)), (right, round(front)), (left, round(front)))
        if share < 1:
            draw(rng, canvas, ends, color, thick)
        boards.append(Board(left, right, ceiling, round(back), round(front)))
        ceiling = round(front) + thick
    return tuple(boards)


def _glass(
    rng: np.random.Generator, canvas: Pixels, ends: tuple[tuple[int, int], ...], color: Color, thick: int
) -> None:
    """Lay a pane whose edge shines."""
    over = canvas.copy()
    cv2.fillConvexPoly(over, np.array(ends, np.int32), mix(color, WHITE, 0.6), cv2.LINE_AA)
    canvas[:] = cv2.addWeighted(over, 0.35, canvas, 0.65, 0)
    (_, _, right, left) = ends
    cv2.rectangle(canvas, left, (right[0], right[1] + thick // 2), mix(color, WHITE, 0.8), -1)
    cv2.line(canvas, (left[0], left[1] + thick // 2), (right[0], right[1] + thick // 2), mix(color, BLACK, 0.3), 1)


def _solid(
    rng: np.random.Generator, canvas: Pixels, ends: tuple[tuple[int, int], ...], color: Color, thick: int
) -> None:
    """Lay a board; its front may carry price tags."""
    cv2.fillConvexPoly(canvas, np.array(ends, np.int32), mix(color, WHITE, 0.15), cv2.LINE_AA)
    (_, _, right, left) = ends
    if rng.random() < 0.6:
        x1, x2, y1 = max(0, left[0]), min(canvas.shape[1], right[0]), max(0, left[1])
        front = rail(rng, 2 * thick, max(1, x2 - x1)).paint[: max(0, canvas.shape[0] - y1)]
        canvas[y1 : y1 + len(front), x1:x2] = front[:, : x2 - x1]
    else:
        cv2.rectangle(canvas, left, (right[0], right[1] + thick), mix(color, BLACK, 0.25), -1)
    shade = canvas[right[1] + thick : right[1] + 3 * thick]
    shade[:] = (shade * 0.75).astype(np.uint8)


def _wires(
    rng: np.random.Generator, canvas: Pixels, ends: tuple[tuple[int, int], ...], color: Color, thick: int
) -> None:
    """Lay a grid of wires."""
    far_left, far_right, right, left = (np.array(end, float) for end in ends)
    wire = max(1, thick // 4)
    for share in np.linspace(0, 1, int(rng.integers(8, 40))):
        start, end = far_left + share * (far_right - far_left), left + share * (right - left)
        cv2.line(canvas, start.astype(int).tolist(), end.astype(int).tolist(), color, wire, cv2.LINE_AA)
    for start, end in ((far_left, far_right), (left, right)):
        cv2.line(canvas, start.astype(int).tolist(), end.astype(int).tolist(), mix(color, BLACK, 0.2), 2 * wire)


_BOARDS = (_glass, _solid, _wires)


def _light(rng: np.random.Generator, canvas: Pixels, inner: Rect) -> None:
    """Light the inside from a lamp, and darken or brighten what is around it."""
    height, width = canvas.shape[:2]
    left, top, right, bottom = inner
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    lamp = (left + rng.uniform(0.1, 0.9) * (right - left), top + rng.uniform(0, 0.4) * (bottom - top))
    far = np.hypot((x - lamp[0]) / (right - left), (y - lamp[1]) / (bottom - top))
    gain = (rng.uniform(0.7, 1.25) - rng.uniform(0, 0.5) * far + rng.uniform(0, 0.35) * np.exp(-5 * far)).clip(0.15)
    outside = (x < left) | (x > right) | (y < top) | (y > bottom)
    gain[outside] *= rng.uniform(0.3, 1.1)
    canvas[:] = np.clip(canvas * gain[..., None], 0, 255).astype(np.uint8)


def _corners(rect: Rect) -> tuple[tuple[int, int], ...]:
    left, top, right, bottom = rect
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _visible(rect: Rect, canvas: Pixels) -> Rect:
    height, width = canvas.shape[:2]
    left, top, right, bottom = rect
    return max(0, left), max(0, top), min(width, right), min(height, bottom)
