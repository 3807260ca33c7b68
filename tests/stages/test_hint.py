"""Hints: for views that the detector's input distorts, and for small objects."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from shitu_edge import Recognizer
from shitu_edge.bundle.networks import DEFAULT_BUNDLE
from shitu_edge.results import Detections
from shitu_edge.stages.detect import Detector
from shitu_edge.stages.hint import hint
from shitu_edge.stages.shapes import distortion
from shitu_edge.stages.survey import Survey


class Squeezing:
    """A detector of one input shape."""

    score_threshold = 0.5

    def __init__(self, height: int, width: int) -> None:
        self.shape = height, width

    def distortion(self, height: float, width: float) -> float:
        return distortion(self.shape, (height, width))


def seen(size: tuple[int, int], *sides: float, tiles: int = 1) -> Survey:
    boxes = np.array([(10, 10, 10 + side, 10 + side) for side in sides], np.float32).reshape(-1, 4)
    found = Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int32))
    return Survey(found, (), (0, 0, size[1], size[0]), tiles)


@pytest.mark.parametrize(
    ("size", "shape", "squeezed"),
    [
        ((1280, 720), (288, 448), "the image is squeezed 2.8-fold into the detector's input"),
        ((640, 480), (288, 448), "the image is squeezed 2.1-fold into the detector's input"),
        ((720, 1280), (288, 448), None),
        ((1000, 1000), (288, 448), None),
        ((1280, 720), (640, 640), None),
        ((300, 1200), (640, 640), "the image is squeezed 4.0-fold into the detector's input"),
    ],
)
def test_hint_at_a_distorted_image(size: tuple[int, int], shape: tuple[int, int], squeezed: str | None) -> None:
    found = hint(seen(size, 300), cast(Detector, Squeezing(*shape)))
    assert found is None if squeezed is None else found is not None and found.startswith(squeezed)


@pytest.mark.parametrize(
    ("sides", "tiles", "hinted"),
    [
        ((100, 100, 300), 1, True),
        ((100, 300, 300), 1, False),
        ((149,), 1, True),
        ((151,), 1, False),
        ((), 1, False),
        ((100, 100, 300), 6, False),
    ],
)
def test_hint_at_small_objects(sides: tuple[float, ...], tiles: int, hinted: bool) -> None:
    found = hint(seen((1000, 1200), *sides, tiles=tiles), cast(Detector, Squeezing(640, 640)))
    assert (found is not None and found.startswith("most objects are so small that many are missed")) == hinted


def test_hint_is_none_for_portrait_with_the_built_in_bundle() -> None:
    with Recognizer.open(DEFAULT_BUNDLE) as recognizer:
        for size in ((1280, 720), (640, 480), (720, 1280)):
            assert hint(seen(size, 300), recognizer._detector) is None


def test_faint_boxes_say_nothing_of_size() -> None:
    some = seen((1000, 1000), 300, 300, 50, 50, 50)
    scores = np.array([0.9, 0.8, 0.4, 0.4, 0.4], np.float32)
    faint = replace(some, found=replace(some.found, scores=scores))
    detector = cast(Detector, Squeezing(640, 640))
    assert hint(some, detector) is not None
    assert hint(faint, detector) is None
