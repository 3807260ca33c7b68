"""Boxes against numbers worked by hand and a slow plain-Python suppression."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Boxes, clip_boxes, iou, pair_boxes, suppress

Row = tuple[float, float, float, float]
EMPTY: Boxes = np.empty((0, 4), np.float32)


def boxes_of(*rows: Sequence[float]) -> Boxes:
    return np.array(rows, np.float32).reshape(-1, 4)


def order_of(*indices: int) -> NDArray[np.intp]:
    return np.array(indices, np.intp)


def plain_iou(a: Sequence[float], b: Sequence[float], pixel: float) -> float:
    def area(box: Sequence[float]) -> float:
        return max(box[2] - box[0] + pixel, 0) * max(box[3] - box[1] + pixel, 0)

    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def plain_suppress(boxes: Sequence[Row], order: Sequence[int], threshold: float, pixel: float) -> list[int]:
    kept: list[int] = []
    for index in order:
        if all(plain_iou(boxes[index], boxes[other], pixel) <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize(
    ("a", "b", "pixel", "expected"),
    [
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 0, 1, id="equal"),
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 1, 1, id="equal, whole pixels"),
        pytest.param((0, 0, 10, 10), (5, 0, 15, 10), 0, 1 / 3, id="half shifted: 50 / 150"),
        pytest.param((0, 0, 9, 9), (5, 0, 14, 9), 1, 1 / 3, id="half shifted, whole pixels: 50 / 150"),
        pytest.param((0, 0, 10, 10), (5, 5, 15, 15), 0, 25 / 175, id="a quarter shared: 25 / 175"),
        pytest.param((0, 0, 10, 10), (5, 5, 15, 15), 1, 36 / 206, id="6 × 6 of two 11 × 11: 36 / 206"),
        pytest.param((0, 0, 10, 10), (2, 2, 6, 6), 0, 16 / 100, id="inside"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 0, 0, id="touching"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 1, 11 / 231, id="touching shares a column of 11 pixels"),
        pytest.param((0, 0, 9, 9), (10, 0, 19, 9), 1, 0, id="neighboring pixels"),
        pytest.param((0, 0, 10, 10), (30, 40, 50, 60), 0, 0, id="apart"),
        pytest.param((0, 0, 10, 10), (30, 0, 40, 10), 1, 0, id="apart along one axis"),
        pytest.param((3, 3, 3, 3), (3, 3, 3, 3), 0, 0, id="two points"),
        pytest.param((3, 3, 3, 3), (3, 3, 3, 3), 1, 1, id="the same pixel"),
        pytest.param((0, 0, 10, 10), (4, 4, 4, 8), 0, 0, id="a line inside"),
        pytest.param((-10, -10, 0, 0), (-5, -10, 5, 0), 0, 1 / 3, id="negative coordinates"),
    ],
)
def test_iou_by_hand(a: Row, b: Row, pixel: float, expected: float) -> None:
    assert iou(boxes_of(a)[0], boxes_of(b), pixel=pixel) == pytest.approx([expected])
    assert iou(boxes_of(b)[0], boxes_of(a), pixel=pixel) == pytest.approx([expected])


def test_iou_of_one_with_many() -> None:
    many = boxes_of((0, 0, 4, 4), (0, 0, 4, 2), (4, 4, 8, 8))
    overlaps = iou(boxes_of((0, 0, 4, 4))[0], many)
    assert overlaps.dtype == np.float32
    assert overlaps.tolist() == [1, 0.5, 0]


def test_iou_with_none() -> None:
    assert iou(boxes_of((0, 0, 4, 4))[0], EMPTY).shape == (0,)


def test_clip_by_hand() -> None:
    boxes = boxes_of((-5, -1, 30, 90), (3, 4, 5, 6), (50, 60, 70, 80), (-9, -9, -1, -1))
    clipped = clip_boxes(boxes, 20, 40)
    assert clipped.tolist() == [[0, 0, 20, 40], [3, 4, 5, 6], [20, 40, 20, 40], [0, 0, 0, 0]]
    assert clipped.dtype == np.float32
    assert boxes[0].tolist() == [-5, -1, 30, 90], "the given boxes stay as they are"


def test_clip_nothing() -> None:
    assert clip_boxes(EMPTY, 20, 40).shape == (0, 4)


def test_suppress_by_hand() -> None:
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 8), (20, 0, 30, 10), (0, 0, 10, 4))
    assert suppress(boxes, order_of(0, 1, 2, 3), 0.5) == [0, 2, 3], "0.8 and 0.4 of the first"
    assert suppress(boxes, order_of(1, 0, 2, 3), 0.45) == [1, 2], "0.8 and 0.5 of the second"


def test_a_dropped_box_suppresses_nothing() -> None:
    boxes = boxes_of((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    assert suppress(boxes, order_of(0, 1, 2), 0.3) == [0, 2]


def test_overlap_at_the_threshold_is_kept() -> None:
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 5))
    assert suppress(boxes, order_of(0, 1), 0.5) == [0, 1]
    assert suppress(boxes, order_of(0, 1), np.nextafter(np.float32(0.5), np.float32(0)).item()) == [0]


def test_pixel_decides() -> None:
    """Two 10 × 10 boxes that touch: 0 as distances, 11 of 231 pixels."""
    boxes = boxes_of((0, 0, 10, 10), (10, 0, 20, 10))
    assert suppress(boxes, order_of(0, 1), 0.04) == [0, 1]
    assert suppress(boxes, order_of(0, 1), 0.04, pixel=1) == [0]


def test_only_boxes_in_the_order_are_considered() -> None:
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 10), (20, 0, 30, 10))
    assert suppress(boxes, order_of(2, 1), 0.5) == [2, 1]


def test_suppress_nothing() -> None:
    assert suppress(EMPTY, order_of(), 0.5) == []
    assert suppress(boxes_of((0, 0, 1, 1)), order_of(), 0.5) == []


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (1, [3]), (2, [3, 2]), (4, [3, 2, 1, 0]), (9, [3, 2, 1, 0])])
def test_keep_at_most(limit: int, expected: list[int]) -> None:
    apart = boxes_of(*[(20 * i, 0, 20 * i + 10, 10) for i in range(4)])
    assert suppress(apart, order_of(3, 2, 1, 0), 0.5, keep_at_most=limit) == expected


coordinate = st.integers(-8, 24)
rows = st.lists(
    st.tuples(coordinate, coordinate, st.integers(0, 16), st.integers(0, 16)).map(
        lambda box: (float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3]))
    ),
    max_size=14,
)
thresholds = st.sampled_from([0.0, 0.053, 0.31, 0.61, 0.97])  # on no ratio of such small areas, 0 excepted


@settings(max_examples=150, deadline=None, derandomize=True)
@given(rows, thresholds, st.sampled_from([0.0, 1.0]), st.integers(1, 6), st.randoms(use_true_random=False))
def test_suppress_as_plain_python_does(
    boxes: list[Row], threshold: float, pixel: float, limit: int, random: Random
) -> None:
    order = list(range(len(boxes)))
    random.shuffle(order)
    expected = plain_suppress(boxes, order, threshold, pixel)
    array = boxes_of(*boxes)
    assert suppress(array, order_of(*order), threshold, pixel=pixel) == expected
    assert suppress(array, order_of(*order), threshold, pixel=pixel, keep_at_most=limit) == expected[:limit]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows.filter(bool), st.sampled_from([0.0, 1.0]))
def test_iou_as_plain_python_does(boxes: list[Row], pixel: float) -> None:
    found = iou(boxes_of(*boxes)[0], boxes_of(*boxes), pixel=pixel)
    assert found == pytest.approx([plain_iou(boxes[0], box, pixel) for box in boxes], abs=1e-6)


@pytest.mark.parametrize("limit", [None, 1, 100, 128, 500])
@pytest.mark.parametrize("spread", [30, 300])
def test_suppress_many_as_plain_python_does(spread: int, limit: int | None) -> None:
    """More boxes than are compared at a time; sides are whole, so that no IoU is near 0.313 but not it."""
    random = Random(spread)
    corners = [(random.randrange(spread), random.randrange(spread)) for _ in range(500)]
    boxes = [(x, y, x + random.randrange(1, 16), y + random.randrange(1, 16)) for x, y in corners]
    order = random.sample(range(500), 450)
    expected = plain_suppress(boxes, order, 0.313, 0.0)
    assert suppress(boxes_of(*boxes), order_of(*order), 0.313, keep_at_most=limit) == expected[:limit]


def test_pair_takes_the_largest_overlap_first() -> None:
    truth = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    found = np.array([[3, 0, 13, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    assert sorted(pair_boxes(found, truth)) == [(0, 1), (1, 0)]
    assert pair_boxes(found[:0], truth) == pair_boxes(found, truth[:0]) == []
