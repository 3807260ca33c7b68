"""Small pictures on labels: fruit, leaves, drops, marks. Each fills a square and takes two colors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels

from .colors import BLACK, WHITE, Color, mix
from .pen import Pen

_GREEN: Color = (62, 138, 52)


def _ball(pen: Pen, x: float, y: float, r: float, color: Color) -> None:
    """Fill a ball, lit from the upper left."""
    for k in range(5):
        share = k / 4
        shade = mix(mix(color, BLACK, 0.28), mix(color, WHITE, 0.22), share)
        pen.ellipse(x - 0.13 * r * share, y - 0.13 * r * share, r * (1 - 0.2 * share), r * (1 - 0.2 * share), shade)
    pen.ellipse(x - 0.4 * r, y - 0.45 * r, 0.16 * r, 0.1 * r, mix(color, WHITE, 0.7), -0.7)


def _star(n: int, inner: float, turn: float = -np.pi / 2, r: float = 0.47) -> NDArray[np.float64]:
    a = turn + np.arange(2 * n) * np.pi / n
    radius = np.where(np.arange(2 * n) % 2 == 0, r, r * inner)
    return np.stack([0.5 + radius * np.cos(a), 0.5 + radius * np.sin(a)], 1)


def _round_fruit(pen: Pen, first: Color, second: Color) -> None:
    _ball(pen, 0.5, 0.55, 0.4, first)
    pen.line([(0.5, 0.2), (0.53, 0.06)], 0.03, (92, 62, 30))
    pen.leaf(0.52, 0.17, 0.34, -0.4, _GREEN)


def _tomato(pen: Pen, first: Color, second: Color) -> None:
    _ball(pen, 0.5, 0.56, 0.41, first)
    for turn in np.linspace(0, 2 * np.pi, 6)[:-1]:
        pen.leaf(0.5, 0.24, 0.24, float(turn) + 0.3, _GREEN)


def _slice(pen: Pen, first: Color, second: Color) -> None:
    pen.ellipse(0.5, 0.5, 0.46, 0.46, first)
    pen.ellipse(0.5, 0.5, 0.41, 0.41, mix(first, WHITE, 0.85))
    for k in range(9):
        a = 2 * np.pi * (k + np.array([0.08, 0.3, 0.5, 0.7, 0.92])) / 9
        points = np.stack([0.5 + 0.38 * np.cos(a), 0.5 + 0.38 * np.sin(a)], 1)
        middle = np.array([[0.5 + 0.05 * np.cos(a[2]), 0.5 + 0.05 * np.sin(a[2])]])
        pen.fill(np.concatenate([middle, points]), mix(first, WHITE, 0.15))


def _lemon(pen: Pen, first: Color, second: Color) -> None:
    pen.ellipse(0.5, 0.52, 0.46, 0.1, first, -0.4)
    pen.ellipse(0.5, 0.52, 0.36, 0.28, mix(first, BLACK, 0.15), -0.4)
    pen.ellipse(0.48, 0.5, 0.33, 0.25, first, -0.4)
    pen.ellipse(0.4, 0.44, 0.14, 0.06, mix(first, WHITE, 0.6), -0.4)
    pen.leaf(0.75, 0.3, 0.24, -1.5, _GREEN)


def _berries(pen: Pen, first: Color, second: Color) -> None:
    pen.leaf(0.5, 0.3, 0.42, -2.5, _GREEN)
    pen.leaf(0.5, 0.3, 0.42, -0.6, _GREEN)
    for x, y in ((0.3, 0.45), (0.68, 0.45), (0.5, 0.4), (0.38, 0.66), (0.62, 0.66), (0.5, 0.84)):
        _ball(pen, x, y, 0.15, first)


def _strawberry(pen: Pen, first: Color, second: Color) -> None:
    t = np.linspace(-np.pi, np.pi, 40)
    pen.fill(np.stack([0.5 + 0.36 * np.sin(t) * (1 - 0.22 * np.cos(t)), 0.56 - 0.4 * np.cos(t) * 0.95], 1), first)
    for y in (0.34, 0.5, 0.66, 0.8):
        n = max(1, round(5 * (1.05 - y)))
        for x in np.linspace(0.5 - 0.1 * (n - 1) / 1.3, 0.5 + 0.1 * (n - 1) / 1.3, n):
            pen.ellipse(float(x), y, 0.016, 0.026, (245, 214, 120))
    for turn in (-2.9, -2.2, -1.57, -0.9, -0.2):
        pen.leaf(0.5, 0.22, 0.24, turn + 0.0, _GREEN)


def _banana(pen: Pen, first: Color, second: Color) -> None:
    a = np.linspace(0.15, np.pi - 0.35, 30)
    outer = np.stack([0.5 + 0.45 * np.cos(a), 0.22 + 0.58 * np.sin(a)], 1)
    inner = np.stack([0.5 + 0.4 * np.cos(a), 0.2 + 0.32 * np.sin(a)], 1)[::-1]
    pen.fill(np.concatenate([outer, inner]), first)
    pen.line([tuple(p) for p in (outer[4:-3] * 0.6 + inner[::-1][4:-3] * 0.4)], 0.02, mix(first, BLACK, 0.2))
    pen.ellipse(0.94, 0.3, 0.035, 0.05, (90, 70, 30))


def _drop(pen: Pen, first: Color, second: Color) -> None:
    t = np.linspace(0, 2 * np.pi, 40)
    pen.fill(np.stack([0.5 + 0.36 * np.sin(t) * np.sin(t / 2) ** 1.3, 0.52 + 0.44 * np.cos(t) * -1], 1)[:, :], first)
    pen.ellipse(0.4, 0.66, 0.05, 0.12, mix(first, WHITE, 0.6), 0.4)


def _leaves(pen: Pen, first: Color, second: Color) -> None:
    pen.leaf(0.5, 0.95, 0.85, -1.57, first)
    pen.leaf(0.5, 0.85, 0.6, -2.5, mix(first, second, 0.35))
    pen.leaf(0.5, 0.85, 0.6, -0.64, mix(first, second, 0.35))


def _ear(pen: Pen, first: Color, second: Color) -> None:
    pen.line([(0.5, 0.98), (0.5, 0.2)], 0.025, mix(first, BLACK, 0.3))
    for y in np.linspace(0.3, 0.72, 5):
        pen.leaf(0.5, float(y) + 0.08, 0.24, -2.2, first)
        pen.leaf(0.5, float(y) + 0.08, 0.24, -0.94, mix(first, WHITE, 0.25))
    pen.leaf(0.5, 0.26, 0.24, -1.57, first)


def _beans(pen: Pen, first: Color, second: Color) -> None:
    for x, y, turn in ((0.34, 0.4, 0.6), (0.66, 0.42, -0.5), (0.5, 0.7, 0.1)):
        pen.ellipse(x, y, 0.15, 0.23, first, turn)
        pen.ellipse(x - 0.02, y - 0.03, 0.11, 0.18, mix(first, WHITE, 0.18), turn)
        dx, dy = 0.2 * np.sin(turn), 0.2 * np.cos(turn)
        pen.line([(x + dx, y - dy), (x + 0.02, y), (x - dx, y + dy)], 0.025, mix(first, BLACK, 0.5))


def _splash(pen: Pen, first: Color, second: Color) -> None:
    t = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    r = 0.3 + 0.1 * np.sin(5 * t) + 0.06 * np.sin(8 * t + 1)
    pen.fill(np.stack([0.5 + r * np.cos(t), 0.52 + r * np.sin(t)], 1), second)
    pen.fill(np.stack([0.5 + 0.8 * r * np.cos(t), 0.5 + 0.8 * r * np.sin(t)], 1), mix(first, WHITE, 0.5))
    for x, y in ((0.1, 0.2), (0.88, 0.3), (0.2, 0.9)):
        pen.ellipse(x, y, 0.05, 0.06, first)


def _mountain(pen: Pen, first: Color, second: Color) -> None:
    pen.ellipse(0.74, 0.26, 0.13, 0.13, second)
    for x, top, half, color in ((0.66, 0.4, 0.34, mix(first, WHITE, 0.3)), (0.38, 0.2, 0.38, first)):
        pen.fill(np.array([[x, top], [x + half, 0.92], [x - half, 0.92]]), color)
        cap = [(x, top), (x + half * 0.3, top + 0.22), (x, top + 0.15), (x - half * 0.3, top + 0.22)]
        pen.fill(np.array(cap), WHITE)


def _sun(pen: Pen, first: Color, second: Color) -> None:
    pen.fill(_star(14, 0.72), second)
    pen.ellipse(0.5, 0.5, 0.3, 0.3, first)


def _five_star(pen: Pen, first: Color, second: Color) -> None:
    pen.fill(_star(5, 0.42), first)


def _flower(pen: Pen, first: Color, second: Color) -> None:
    for turn in np.linspace(0, 2 * np.pi, 8)[:-1]:
        pen.ellipse(0.5 + 0.26 * np.cos(turn), 0.5 + 0.26 * np.sin(turn), 0.2, 0.11, first, float(turn))
    pen.ellipse(0.5, 0.5, 0.14, 0.14, second)


def _snowflake(pen: Pen, first: Color, second: Color) -> None:
    for turn in np.linspace(0, 2 * np.pi, 7)[:-1]:
        c, s = float(np.cos(turn)), float(np.sin(turn))
        pen.line([(0.5, 0.5), (0.5 + 0.45 * c, 0.5 + 0.45 * s)], 0.05, first)
        for side in (0.6, -0.6):
            c2, s2 = float(np.cos(turn + side)), float(np.sin(turn + side))
            x, y = 0.5 + 0.25 * c, 0.5 + 0.25 * s
            pen.line([(x, y), (x + 0.16 * c2, y + 0.16 * s2)], 0.04, first)


def _bolt(pen: Pen, first: Color, second: Color) -> None:
    pen.fill(np.array([(0.6, 0.02), (0.2, 0.55), (0.45, 0.55), (0.35, 0.98), (0.82, 0.4), (0.55, 0.4)]), first)


def _crown(pen: Pen, first: Color, second: Color) -> None:
    tips = [(0.08, 0.3), (0.28, 0.55), (0.5, 0.15), (0.72, 0.55), (0.92, 0.3), (0.82, 0.85), (0.18, 0.85)]
    pen.fill(np.array(tips), first)
    for x, y in ((0.08, 0.28), (0.5, 0.13), (0.92, 0.28)):
        pen.ellipse(x, y, 0.06, 0.06, second)


def _cup(pen: Pen, first: Color, second: Color) -> None:
    pen.ellipse(0.74, 0.55, 0.17, 0.17, first)
    pen.ellipse(0.74, 0.55, 0.1, 0.1, WHITE)
    pen.fill(np.array([(0.12, 0.32), (0.74, 0.32), (0.66, 0.88), (0.2, 0.88)]), first)
    pen.ellipse(0.43, 0.32, 0.31, 0.08, second)
    for x in (0.32, 0.5):
        pen.line([(x, 0.2), (x + 0.05, 0.12), (x, 0.03)], 0.03, mix(first, WHITE, 0.5))


def _glass(pen: Pen, first: Color, second: Color) -> None:
    pen.fill(np.array([(0.2, 0.08), (0.8, 0.08), (0.7, 0.95), (0.3, 0.95)]), mix(WHITE, second, 0.2))
    pen.fill(np.array([(0.24, 0.3), (0.76, 0.3), (0.68, 0.91), (0.32, 0.91)]), first)
    pen.ellipse(0.5, 0.3, 0.26, 0.05, mix(first, WHITE, 0.4))


def _fish(pen: Pen, first: Color, second: Color) -> None:
    pen.fill(np.array([(0.68, 0.5), (0.97, 0.28), (0.97, 0.74)]), first)
    pen.ellipse(0.42, 0.5, 0.38, 0.2, first)
    pen.ellipse(0.2, 0.45, 0.035, 0.035, WHITE)
    pen.line([(0.36, 0.36), (0.42, 0.5), (0.36, 0.64)], 0.02, second)


def _heart(pen: Pen, first: Color, second: Color) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    pen.fill(np.stack([0.5 + 0.46 * np.sin(t) ** 3, 0.47 - y / 36], 1), first)


def _wave(pen: Pen, first: Color, second: Color) -> None:
    x = np.linspace(0, 1, 40)
    for k, color in enumerate((first, mix(first, second, 0.5), second)):
        y = 0.3 + 0.2 * k + 0.08 * np.sin(2 * np.pi * (x * 1.5 + 0.2 * k))
        pen.fill(np.concatenate([np.stack([x, y], 1), np.stack([x, y + 0.17], 1)[::-1]]), color)


def _cow(pen: Pen, first: Color, second: Color) -> None:
    pen.ellipse(0.5, 0.5, 0.3, 0.38, WHITE)
    pen.ellipse(0.2, 0.32, 0.16, 0.08, first, 0.4)
    pen.ellipse(0.8, 0.32, 0.16, 0.08, first, -0.4)
    pen.ellipse(0.64, 0.36, 0.13, 0.17, first)
    pen.ellipse(0.5, 0.74, 0.24, 0.16, (240, 170, 170))
    for x in (0.4, 0.6):
        pen.ellipse(x, 0.44, 0.035, 0.045, BLACK)
        pen.ellipse(x, 0.74, 0.03, 0.04, (150, 80, 80))


def _rings(pen: Pen, first: Color, second: Color) -> None:
    for k, color in enumerate((first, second, first, WHITE)):
        pen.ellipse(0.5, 0.5, 0.47 - 0.11 * k, 0.47 - 0.11 * k, color)


_Draw = Callable[[Pen, Color, Color], None]
PICTURES: dict[str, _Draw] = {
    "fruit": _round_fruit,
    "tomato": _tomato,
    "slice": _slice,
    "lemon": _lemon,
    "berries": _berries,
    "strawberry": _strawberry,
    "banana": _banana,
    "drop": _drop,
    "leaves": _leaves,
    "ear": _ear,
    "beans": _beans,
    "splash": _splash,
    "mountain": _mountain,
    "sun": _sun,
    "star": _five_star,
    "flower": _flower,
    "snowflake": _snowflake,
    "bolt": _bolt,
    "crown": _crown,
    "cup": _cup,
    "glass": _glass,
    "fish": _fish,
    "heart": _heart,
    "wave": _wave,
    "cow": _cow,
    "rings": _rings,
}


def picture(name: str, first: Color, second: Color, side: int) -> Pixels:
    """Return a picture by its name, uint8 RGBA (side, side, 4)."""
    pen = Pen(side)
    PICTURES[name](pen, first, second)
    return pen.image


def logo(seed: int, first: Color, second: Color, side: int) -> Pixels:
    """Return an invented mark of a few shapes, uint8 RGBA (side, side, 4)."""
    rng = np.random.default_rng((seed, 11))
    pen = Pen(side)
    ground = int(rng.integers(5))
    if ground == 0:
        pen.ellipse(0.5, 0.5, 0.48, 0.48, first)
    elif ground == 1:
        pen.ellipse(0.5, 0.5, 0.49, 0.34, first, float(rng.uniform(-0.4, 0.4)))
    elif ground == 2:
        pen.fill(_star(int(rng.integers(3, 9)), float(rng.uniform(0.6, 0.95))), first)
    elif ground == 3:
        pen.fill(np.array([(0.06, 0.06), (0.94, 0.06), (0.94, 0.6), (0.5, 0.97), (0.06, 0.6)]), first)
    inner = second if ground < 4 else first
    n = int(rng.integers(2, 6))
    offset = float(rng.uniform(0, np.pi))
    shape = int(rng.integers(4))
    for k in range(n):
        a = offset + 2 * np.pi * k / n
        x, y = 0.5 + 0.2 * float(np.cos(a)), 0.5 + 0.2 * float(np.sin(a))
        if shape == 0:
            pen.ellipse(x, y, 0.17, 0.08, inner, a)
        elif shape == 1:
            pen.leaf(0.5, 0.5, 0.38, a, inner)
        elif shape == 2:
            pen.line(
                [(0.5, 0.5), (x, y), (0.5 + 0.36 * float(np.cos(a + 0.7)), 0.5 + 0.36 * float(np.sin(a + 0.7)))],
                0.09,
                inner,
            )
        else:
            pen.ellipse(x, y, 0.1, 0.1, inner)
    if rng.random() < 0.4:
        pen.ellipse(0.5, 0.5, 0.09, 0.09, first if ground < 4 else second)
    return pen.image
