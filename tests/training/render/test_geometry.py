"""Bodies in space against hand-worked projections."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.render.boxed import draw_boxed, faces_of
from training.render.design import Design, design_of
from training.render.outlines import SAMPLES
from training.render.skin import Skin, skin_of
from training.render.sprite import Light, View
from training.render.turned import draw_turned

_EVEN = Light(azimuth=0.0, elevation=0.0, ambient=1.0, direct=0.0, highlights=(), seed=0)


def _cylinder(radius: float) -> Design:
    return replace(design_of(4000, "can"), radii=(radius,) * SAMPLES, metal=0.0, gloss=0.0)


def _skin_with_stripe(design: Design) -> Skin:
    """A black skin with a white stripe, 3 % of the circumference wide, down its front."""
    skin = skin_of(design)
    for color in (skin.color, *(level for level, _ in skin.smaller)):
        color[:] = 0
        columns = color.shape[1]
        color[:, round(0.485 * columns) : round(0.515 * columns)] = 255
    skin.metal[:] = 0
    return skin


@pytest.mark.parametrize("yaw", [0.0, 0.5, -0.8])
def test_a_stripe_goes_round_a_cylinder(yaw: float) -> None:
    design = _cylinder(0.25)
    sprite = draw_turned(design, _skin_with_stripe(design), View(yaw, 0.0, _EVEN), 200)
    row = sprite.paint[100, :, 0].astype(float)
    seen = (row * np.arange(len(row))).sum() / row.sum()
    # Radius 50 px; a body turned by yaw shows what was in front at 50 sin(yaw), to the left.
    assert seen == pytest.approx((len(row) - 1) / 2 - 50 * np.sin(yaw), abs=1.5)


def test_the_outline_of_a_cylinder_from_above() -> None:
    sprite = draw_turned(_cylinder(0.25), skin_of(_cylinder(0.25)), View(0.0, 0.5, _EVEN), 200)
    # Height 1 and radius 1/4 are seen as cos 0.5 + 2 × 0.25 × sin 0.5 units, which are 200 px.
    unit = 200 / (np.cos(0.5) + 0.5 * np.sin(0.5))
    expected: NDArray[np.uint8] = np.zeros(sprite.mask.shape, np.uint8)
    x = (expected.shape[1] - 1) / 2
    top, axes = 1.5 + 0.25 * np.sin(0.5) * unit, (0.25 * unit, 0.25 * np.sin(0.5) * unit)
    foot = top + np.cos(0.5) * unit
    for y in (top, foot):
        center, half = (round(x * 16), round(y * 16)), (round(axes[0] * 16), round(axes[1] * 16))
        cv2.ellipse(expected, center, half, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
    cv2.rectangle(expected, (round(x - axes[0]), round(top)), (round(x + axes[0]), round(foot)), 255, -1)
    differ = (expected > 127) != (sprite.mask > 127)
    assert differ.sum() < 0.01 * (expected > 127).sum()


def test_a_box_is_the_hull_of_its_corners() -> None:
    design = replace(design_of(4000, "box"), width=0.7, depth=0.3)
    sprite = draw_boxed(design, faces_of(design), View(0.6, 0.3, _EVEN), 220)
    corners = np.array([(x, y, z) for x in (-0.35, 0.35) for y in (-0.5, 0.5) for z in (-0.15, 0.15)])
    turned = np.array([x * np.cos(0.6) - z * np.sin(0.6) for x, _, z in corners])
    deep = np.array([x * np.sin(0.6) + z * np.cos(0.6) for x, _, z in corners])
    high = corners[:, 1] * np.cos(0.3) + deep * np.sin(0.3)
    near = deep * np.cos(0.3) - corners[:, 1] * np.sin(0.3)
    seen = np.stack([turned, high], 1) * (4.5 / (4.5 - near))[:, None]
    seen = (seen - seen.min(0)) * 220 / np.ptp(seen[:, 1]) + 1.5
    expected = np.zeros(sprite.mask.shape, np.uint8)
    hull = cv2.convexHull(np.rint(seen * 16).astype(np.int32))
    cv2.fillConvexPoly(expected, hull, 255, cv2.LINE_AA, 4)
    differ = (expected > 127) != (sprite.mask > 127)
    assert differ.sum() < 0.02 * (expected > 127).sum()


def test_the_side_of_a_box_comes_into_view_when_it_is_turned() -> None:
    design = replace(design_of(4000, "box"), width=0.5, depth=0.5, gloss=0.0)
    faces = list(faces_of(design))
    for k, gray in ((0, 200), (2, 90)):  # the front, and the side at its right
        texture = tuple(np.full_like(level, gray) for level in faces[k].texture or ())
        faces[k] = replace(faces[k], texture=texture)
    dim = Light(azimuth=0.0, elevation=0.0, ambient=1.0, direct=0.0, highlights=((0.0, 0.1, 0.0),), seed=0)
    sprite = draw_boxed(design, tuple(faces), View(0.5, 0.0, dim), 200)
    row = sprite.paint[100, :, 0]
    assert abs(int(row[len(row) // 4]) - 200) < 60
    assert row[-8] < 130
