"""Plots as SVG text, without a library: stacked bars, distributions and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""Paul Tol's bright scheme, suitable for the color-blind."""
_WIDTH, _LEFT, _RIGHT = 720, 90, 60
_ROW, _BAR = 34, 22
_HIGH, _TOP, _BOTTOM = 240, 12, 44
_BINS = 60


def stacked_bars(rows: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Draw a bar per row, made of its parts in order, and a legend."""
    parts = list(dict.fromkeys(name for row in rows.values() for name in row))
    longest = max(sum(row.values()) for row in rows.values()) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    drawn = []
    for number, (title, row) in enumerate(rows.items()):
        y, x = number * _ROW, float(_LEFT)
        drawn.append(_text(_LEFT - 8, y + 16, title, "end"))
        for name, value in row.items():
            wide = value * scale
            drawn.append(
                _rect(x, y, wide, _BAR, COLORS[parts.index(name) % len(COLORS)], f"{name}: {value:.2f} {unit}")
            )
            x += wide
        drawn.append(_text(x + 6, y + 16, f"{sum(row.values()):.1f}"))
    return _svg(drawn + _legend(parts, len(rows) * _ROW + 4), len(rows) * _ROW + 30)


def distribution(samples: Sequence[float], marks: Mapping[str, float], unit: str) -> str:
    """Draw a histogram with a vertical line per mark. Values over 1.5 times the last mark are only counted."""
    values = np.asarray(samples)
    end = min(float(values.max()), 1.5 * max(marks.values()))
    shown = values[values <= end]
    counts, edges = np.histogram(shown, _BINS, (min(float(values.min()), *marks.values()), max(end, *marks.values())))
    x, y = _Axis(edges[0], edges[-1], _LEFT, _WIDTH - _RIGHT), _Axis(0, counts.max(), _HIGH - _BOTTOM, _TOP)
    drawn = [
        _rect(x(left), y(count), x(right) - x(left) - 0.5, y(0) - y(count), COLORS[0], f"{left:.2f} {unit}: {count}")
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    ]
    for number, (name, value) in enumerate(marks.items()):
        drawn.append(_line([(x(value), _TOP), (x(value), y(0))], COLORS[1], dashed=True))
        drawn.append(_text(x(value) + 4, _TOP + 12 + 15 * number, f"{name} {value:.1f}"))
    drawn += _ticks(np.linspace(edges[0], edges[-1], 6), x, unit)
    if len(shown) < len(values):
        drawn.append(_text(_WIDTH - _RIGHT, _HIGH - 4, f"{len(values) - len(shown)} longer ones are not shown", "end"))
    return _svg(drawn, _HIGH)


def lines(names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> str:
    """Draw a line per series over equally spaced names, from 0 upward."""
    highest = max(max(values) for values in series.values()) or 1.0
    place = _Axis(0, max(1, len(names) - 1), _LEFT + 20, _WIDTH - _RIGHT - 20)
    y = _Axis(0, highest, _HIGH - _BOTTOM, _TOP)
    drawn = []
    for level in np.linspace(0, highest, 5):
        drawn.append(_line([(_LEFT, y(level)), (_WIDTH - _RIGHT, y(level))], "#ddd"))
        drawn.append(_text(_LEFT - 8, y(level) + 4, f"{level:.0f} {unit}", "end"))
    drawn += [_text(place(number), _HIGH - _BOTTOM + 18, name, "middle") for number, name in enumerate(names)]
    for number, (title, values) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        points = [(place(at), y(value)) for at, value in enumerate(values)]
        drawn.append(_line(points, color))
        for (at, high), value in zip(points, values, strict=True):
            drawn.append(_dot(at, high, color, f"{title}: {value:.2f} {unit}"))
    return _svg(drawn + _legend(list(series), _HIGH - 16), _HIGH + 6)


def curve(
    series: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, marks: Mapping[str, float]
) -> str:
    """Draw a line per series through points (x, y) in percent, y from 0 to 100, with a vertical line per mark."""
    furthest = max([x for points in series.values() for x, _ in points] + [*marks.values(), 1.0])
    x = _Axis(0, furthest, _LEFT, _WIDTH - _RIGHT)
    y = _Axis(0, 100, _HIGH - _BOTTOM, _TOP)
    drawn = []
    for level in range(0, 101, 25):
        drawn.append(_line([(_LEFT, y(level)), (_WIDTH - _RIGHT, y(level))], "#ddd"))
        drawn.append(_text(_LEFT - 8, y(level) + 4, f"{level} %", "end"))
    drawn += _ticks(np.linspace(0, furthest, 6), x, "%")
    for number, (name, value) in enumerate(marks.items()):
        drawn.append(_line([(x(value), _TOP), (x(value), y(0))], "#888", dashed=True))
        drawn.append(_text(x(value) + 4, _TOP + 12 + 15 * number, name))
    for number, (title, points) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        drawn.append(_line([(x(at), y(high)) for at, high in points], color))
        drawn += [_dot(x(at), y(high), color, f"{title}: {high:.1f} % at {at:.2f} %", 2) for at, high in points]
    drawn.append(_text(_WIDTH - _RIGHT, _HIGH - 8, x_title, "end"))
    return _svg(drawn + _legend([f"{title}, {y_title}" for title in series], _HIGH - 16), _HIGH + 6)


class _Axis:
    """Maps values linearly to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = low, start
        self._scale = (end - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return float(self._start + (value - self._low) * self._scale)


def _ticks(values: Sequence[float] | NDArray[np.float64], x: _Axis, unit: str) -> list[str]:
    return [_text(x(value), _HIGH - _BOTTOM + 18, f"{value:.4g} {unit}", "middle") for value in values]


def _legend(names: Sequence[str], y: float) -> list[str]:
    drawn, x = [], float(_LEFT)
    for number, name in enumerate(names):
        drawn.append(_rect(x, y, 12, 12, COLORS[number % len(COLORS)], name))
        drawn.append(_text(x + 17, y + 11, name))
        x += 40 + 7.5 * len(name)
    return drawn


def _rect(x: float, y: float, wide: float, high: float, color: str, title: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0):.1f}" height="{high:.1f}" fill="{color}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _dot(x: float, y: float, color: str, title: str, radius: int = 4) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}"><title>{escape(title)}</title></circle>'


def _line(points: Sequence[tuple[float, float]], color: str, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(drawn: Sequence[str], high: float) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {high:.0f}" role="img">{"".join(drawn)}</svg>'
