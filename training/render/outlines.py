"""Outlines of turned bodies: the radius from top to bottom, in units of the height."""

from __future__ import annotations

import numpy as np

SAMPLES = 128
Radii = tuple[float, ...]


def _through(points: list[tuple[float, float]], smooth: int) -> Radii:
    """Return radii at `SAMPLES` heights through points (height from the top, radius), corners rounded off."""
    t = np.linspace(0, 1, SAMPLES)
    heights, radii = zip(*points, strict=True)
    dense = np.interp(t, heights, radii)
    kernel = np.hanning(smooth + 2)[1:-1]
    padded = np.pad(dense, smooth // 2, mode="edge")
    return tuple(float(r) for r in np.convolve(padded, kernel / kernel.sum(), "valid")[:SAMPLES])


def bottle(rng: np.random.Generator) -> tuple[Radii, float]:
    """Return a bottle's radii and where its shoulder ends (a share of the height)."""
    body = float(rng.uniform(0.115, 0.2))
    neck = float(rng.uniform(0.04, 0.07)) if rng.random() < 0.8 else body * 0.62
    start, end = float(rng.uniform(0.06, 0.26)), 0.0
    end = start + float(rng.uniform(0.06, 0.24))
    middle = (start + end) / 2
    bulge = float(rng.uniform(0.35, 0.8))
    points = [(0.0, neck), (start, neck * 1.04), (middle, neck + (body - neck) * bulge), (end, body)]
    if rng.random() < 0.35:  # a waist
        waist = float(rng.uniform(0.5, 0.72))
        deep = body * float(rng.uniform(0.78, 0.93))
        points += [(waist - 0.1, body), (waist, deep), (waist + 0.1, body)]
    points += [(0.94, body * float(rng.uniform(0.97, 1.0))), (1.0, body * float(rng.uniform(0.82, 0.95)))]
    radii = np.array(_through(points, int(rng.integers(5, 13))))
    if rng.random() < 0.25:  # ribs
        t = np.linspace(0, 1, SAMPLES)
        ribs = 0.5 + 0.5 * np.sin(2 * np.pi * t * rng.integers(14, 26))
        radii = radii - np.where((t > end + 0.02) & (t < 0.93), 0.004, 0.0) * ribs
    return tuple(float(r) for r in radii), end


def can(rng: np.random.Generator) -> Radii:
    """Return a drink can's or a food can's radii."""
    if rng.random() < 0.75:
        body = float(rng.choice([0.175, 0.2, 0.235, 0.27, 0.28]))
        points = [(0.0, body * 0.84), (0.02, body * 0.84), (0.085, body), (0.94, body), (1.0, body * 0.78)]
        return _through(points, 3)
    body = float(rng.uniform(0.32, 0.55))
    return _through([(0.0, body), (0.02, body * 1.015), (0.05, body), (0.95, body), (0.98, body * 1.015), (1, body)], 3)


def jar(rng: np.random.Generator) -> Radii:
    """Return a jar's radii; its lid takes the upper 15 %."""
    body, lid = float(rng.uniform(0.3, 0.48)), float(rng.uniform(0.82, 1.0))
    belly = body * float(rng.uniform(1.0, 1.1))
    points = [(0.0, body * lid * 0.97), (0.02, body * lid), (0.15, body * lid), (0.17, body * lid * 0.94)]
    return _through([*points, (0.27, body), (0.6, belly), (0.94, body), (1.0, body * 0.9)], 5)


def tub(rng: np.random.Generator) -> Radii:
    """Return a tub's or cup's radii; its lid takes the upper 9 %."""
    top, low = float(rng.uniform(0.34, 0.75)), float(rng.uniform(0.72, 0.95))
    return _through([(0.0, top * 1.03), (0.07, top * 1.05), (0.09, top), (0.97, top * low), (1.0, top * low * 0.95)], 3)


def pouch(rng: np.random.Generator) -> Radii:
    """Return a pouch's or bag's half widths: sealed edges, a slight belly, a wavy rim."""
    half = float(rng.uniform(0.3, 0.5))
    points = [(0.0, half * 0.98), (0.07, half), (0.16, half * 0.95), (0.5, half * float(rng.uniform(0.94, 1.0)))]
    return _through([*points, (0.86, half * 0.97), (0.94, half), (1.0, half * 0.97)], 7)


def fruit(rng: np.random.Generator) -> Radii:
    """Return a fruit's radii: round to long, heavier below or above."""
    t = np.linspace(-1, 1, SAMPLES)
    width = float(rng.choice([0.5, 0.53, 0.48, 0.42, 0.33, 0.2], p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05]))
    weight = float(rng.uniform(-0.3, 0.45)) if rng.random() < 0.5 else 0.0
    round_ = np.sqrt(np.maximum(1 - t**2, 0)) ** float(rng.uniform(0.8, 1.1)) * (1 + weight * t)
    return tuple(float(r) for r in np.maximum(width * round_ / round_.max(), 0.004))
