"""Figures of agreement against slow plain Python and numbers worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shitu_edge_export.parity import (
    BoxParity,
    RowParity,
    average_precision,
    compare_boxes,
    compare_rows,
    match_boxes,
    recall_at_1,
    share_found,
)
from shitu_edge_export.receipt import Tolerances

from shitu_edge.results import Detections

Row = tuple[float, float, float, float]
Found = tuple[Row, float, int]


def detections(*rows: Found) -> Detections:
    """Return detections of (box, score, class), best first."""
    rows = tuple(sorted(rows, key=lambda row: -row[1]))
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([number for _, _, number in rows], np.int32),
    )


def plain_iou(a: Sequence[float], b: Sequence[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


SQUARE, HALF, FAR = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0), (50.0, 50.0, 60.0, 60.0)
NOTHING = detections()


def test_match_by_hand() -> None:
    reference = detections((SQUARE, 0.9, 0), (HALF, 0.8, 0))
    found = detections((HALF, 0.9, 0), (SQUARE, 0.7, 0), (FAR, 0.6, 0))
    assert match_boxes(reference, found, 0.5) == [(0, 1, 1.0), (1, 0, 1.0)], "each the one that overlaps it most"
    assert match_boxes(reference, detections((SQUARE, 0.9, 0)), 0.5) == [(0, 0, 1.0)], "a box is matched once"
    assert match_boxes(reference, detections((FAR, 0.9, 0)), 0.5) == []


def test_the_reference_s_best_chooses_first() -> None:
    """One found box between two: it goes to the surer one, though it overlaps the other more."""
    between = (0.0, 0.0, 10.0, 6.0)
    reference = detections((SQUARE, 0.9, 0), (HALF, 0.8, 0))
    ((number, other, overlap),) = match_boxes(reference, detections((between, 0.9, 0)), 0.5)
    assert (number, other) == (0, 0)
    assert overlap == pytest.approx(0.6)


def test_classes_do_not_match_each_other() -> None:
    assert match_boxes(detections((SQUARE, 0.9, 1)), detections((SQUARE, 0.9, 2)), 0.5) == []
    found = detections((SQUARE, 0.9, 2), (HALF, 0.5, 1))
    assert match_boxes(detections((SQUARE, 0.9, 1)), found, 0.5) == [(0, 1, 0.5)]


@pytest.mark.parametrize(("iou_from", "expected"), [(0.5, 1), (0.51, 0)])
def test_an_overlap_at_the_limit_matches(iou_from: float, expected: int) -> None:
    assert len(match_boxes(detections((SQUARE, 0.9, 0)), detections((HALF, 0.9, 0)), iou_from)) == expected


coordinate = st.integers(0, 12)
boxes = st.tuples(coordinate, coordinate, st.integers(1, 8), st.integers(1, 8)).map(
    lambda box: (float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3]))
)
scores = st.integers(1, 99).map(lambda number: number / 100)
found_boxes = st.lists(st.tuples(boxes, scores, st.integers(0, 2)), max_size=7).map(lambda rows: detections(*rows))
thresholds = st.sampled_from([0.31, 0.51, 0.73])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(found_boxes, found_boxes, thresholds)
def test_match_as_plain_python_does(reference: Detections, found: Detections, iou_from: float) -> None:
    free, expected = set(range(len(found))), list[tuple[int, int]]()
    overlaps: list[float] = []
    for number in range(len(reference)):
        candidates = [
            (plain_iou(reference.boxes_xyxy[number].tolist(), found.boxes_xyxy[other].tolist()), -other)
            for other in free
            if reference.class_ids[number] == found.class_ids[other]
        ]
        if candidates and max(candidates)[0] >= iou_from:
            overlap, other = max(candidates)
            free.discard(-other)
            expected.append((number, -other))
            overlaps.append(overlap)
    matches = match_boxes(reference, found, iou_from)
    assert [(number, other) for number, other, _ in matches] == expected
    assert [overlap for _, _, overlap in matches] == pytest.approx(overlaps, abs=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(found_boxes, found_boxes), max_size=4), thresholds)
def test_share_found_counts_matches(pairs: list[tuple[Detections, Detections]], iou_from: float) -> None:
    total = sum(len(reference) for reference, _ in pairs)
    matched = sum(len(match_boxes(reference, found, iou_from)) for reference, found in pairs)
    assert share_found(pairs, iou_from) == (pytest.approx(matched / total) if total else 1.0)


def test_share_found_by_hand() -> None:
    reference = detections((SQUARE, 0.9, 0), (FAR, 0.8, 0))
    assert share_found([(reference, reference), (reference, detections((SQUARE, 0.1, 0)))], 0.75) == 0.75
    assert share_found([], 0.5) == share_found([(NOTHING, reference)], 0.5) == 1.0
    assert share_found([(reference, NOTHING)], 0.5) == 0.0


def test_compare_boxes_by_hand() -> None:
    reference = detections((SQUARE, 0.9, 0), (FAR, 0.8, 0))
    moved = (0.5, 0.0, 10.0, 10.25)
    found = detections((moved, 0.875, 0), ((80.0, 80.0, 90.0, 90.0), 0.5, 0), ((20.0, 80.0, 30.0, 90.0), 0.4, 0))
    parity = compare_boxes([(reference, found)], threshold=0.2, limit=100)
    assert (parity.boxes, parity.missed, parity.extra) == (2, 1, 2)
    assert parity.max_px == 0.5
    assert parity.mean_px == pytest.approx(0.75 / 4)
    assert parity.max_score == pytest.approx(0.025)
    assert parity.min_iou == parity.mean_iou == pytest.approx(95 / (100 + 9.5 * 10.25 - 95))


def test_compare_equal_boxes() -> None:
    one = detections((SQUARE, 0.9, 0), (FAR, 0.8, 3))
    assert compare_boxes([(one, one), (NOTHING, NOTHING)], 0.2, 100) == BoxParity(2, 0, 0, 0, 0.0, 0.0, 1.0, 1.0, 0.0)
    assert compare_boxes([], 0.2, 100) == BoxParity(0, 0, 0, 0, 0.0, 0.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(("score", "expected"), [(0.2, 0), (0.20009, 0), (0.2002, 1), (0.9, 1)])
def test_a_box_at_the_threshold_is_nobody_s_fault(score: float, expected: int) -> None:
    """Rounding decides on which side of it the box falls."""
    one = detections((FAR, score, 0))
    assert compare_boxes([(one, NOTHING)], 0.2, 100).missed == expected
    assert compare_boxes([(NOTHING, one)], 0.2, 100).extra == expected


def test_the_end_of_a_list_that_was_cut_to_length() -> None:
    """Two lists of the same length that end in different boxes of the same score: either could be last."""
    first, second = detections((SQUARE, 0.9, 0), (FAR, 0.3, 0)), detections((SQUARE, 0.9, 0), (HALF, 0.3, 0))
    parity = compare_boxes([(first, second)], 0.2, 2)
    assert (parity.missed, parity.extra) == (0, 0)
    surer = detections((SQUARE, 0.9, 0), (FAR, 0.35, 0))
    assert compare_boxes([(surer, second)], 0.2, 2).missed == 1, "surer than the other's last: it should be there"


def test_a_list_that_is_shorter_was_not_cut() -> None:
    first = detections((SQUARE, 0.9, 0), (FAR, 0.3, 0))
    assert compare_boxes([(first, detections((SQUARE, 0.9, 0)))], 0.2, 2).missed == 1


def test_twins() -> None:
    """Two boxes overlap and score alike: which one suppresses the other is rounding's, and no more than that."""
    shifted = (2.0, 0.0, 12.0, 10.0)
    one, other = detections((SQUARE, 0.9, 0), (FAR, 0.5, 0)), detections((shifted, 0.900001, 0), (FAR, 0.5, 0))
    parity = compare_boxes([(one, other)], 0.2, 100)
    assert (parity.missed, parity.extra, parity.ties, parity.max_px) == (0, 0, 1, 0.0)
    less = compare_boxes([(one, detections((shifted, 0.89, 0), (FAR, 0.5, 0)))], 0.2, 100)
    assert (less.missed, less.extra, less.ties) == (1, 1, 0), "another score: another box"


def test_boxes_that_all_have_moved_are_no_ties() -> None:
    """A wrong stride shifts every box and leaves the scores as they are."""
    places = [(30.0 * number, 0.0, 30.0 * number + 20, 20.0) for number in range(50)]
    moved = [(left + 4, top, right + 4, bottom) for left, top, right, bottom in places]
    one, other = (detections(*((place, 0.9, 0) for place in row)) for row in (places, moved))
    parity = compare_boxes([(one, other)], 0.2, 100)
    assert parity.ties == 50
    assert not Tolerances().accepts(parity)


def test_images_are_compared_one_by_one() -> None:
    one, other = detections((SQUARE, 0.9, 0)), detections((FAR, 0.8, 0), (HALF, 0.1, 7))
    parity = compare_boxes([(one, other), (other, one)], 0.2, 100)
    assert (parity.boxes, parity.missed, parity.extra) == (3, 2, 2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_boxes_elsewhere(count: int) -> None:
    """As many boxes with the same scores in other places, far fewer than are ever kept."""
    places = [(20.0 * number, 0.0, 20.0 * number + 10, 10.0) for number in range(2 * count)]
    one, other = (detections(*((place, 0.9, 0) for place in half)) for half in (places[:count], places[count:]))
    parity = compare_boxes([(one, other)], 0.2, 100)
    assert (parity.missed, parity.extra) == (count, count)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(found_boxes, found_boxes), max_size=3))
def test_counts_add_up(pairs: list[tuple[Detections, Detections]]) -> None:
    parity = compare_boxes(pairs, 0.0, 100)
    matched = sum(len(match_boxes(reference, found, 0.9)) for reference, found in pairs)
    assert parity.boxes == sum(len(reference) for reference, _ in pairs)
    assert 0 <= parity.missed <= parity.boxes - matched
    assert 0 <= parity.extra <= sum(len(found) for _, found in pairs) - matched
    assert parity.mean_px <= parity.max_px
    assert 0.5 <= parity.min_iou <= parity.mean_iou <= 1 + 1e-6


def plain_average_precision(pairs: Sequence[tuple[Sequence[Row], Sequence[Found]]], iou_from: float) -> float | None:
    """Area under the highest precision at or beyond each recall, point by point (PASCAL VOC devkit 2010, `VOCap`)."""
    total = sum(len(truth) for truth, _ in pairs)
    if not total:
        return None
    ranked = sorted(
        ((score, image, box) for image, (_, found) in enumerate(pairs) for box, score, _ in found),
        key=lambda entry: -entry[0],
    )
    taken: set[tuple[int, int]] = set()
    hits, points = 0, []
    for position, (_, image, box) in enumerate(ranked, start=1):
        best = [
            (plain_iou(box, truth), number)
            for number, truth in enumerate(pairs[image][0])
            if (image, number) not in taken
        ]
        overlap, number = max(best, key=lambda pair: pair[0], default=(0.0, -1))
        if best and overlap >= iou_from:
            taken.add((image, number))
            hits += 1
        points.append((hits / total, hits / position))
    recalls = sorted({0.0, *(recall for recall, _ in points)})
    return sum(
        (high - low) * max(precision for recall, precision in points if recall >= high)
        for low, high in pairwise(recalls)
    )


images = st.tuples(st.lists(boxes, max_size=4), st.lists(boxes, max_size=5))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(images, max_size=4), st.randoms(use_true_random=False), thresholds)
def test_average_precision_as_plain_python_does(
    given_boxes: list[tuple[list[Row], list[Row]]], random: object, iou_from: float
) -> None:
    """Scores differ from each other, so that the ranking is one."""
    count = sum(len(found) for _, found in given_boxes)
    order = list(range(1, count + 1))
    random.shuffle(order)  # type: ignore[attr-defined]
    numbers = iter(order)
    pairs = [(truth, [(box, next(numbers) / 100, 0) for box in found]) for truth, found in given_boxes]
    arrays = [(np.array(truth, np.float32).reshape(-1, 4), detections(*found)) for truth, found in pairs]
    expected = plain_average_precision(pairs, iou_from)
    assert average_precision(arrays, iou_from) == (None if expected is None else pytest.approx(expected, abs=1e-9))


def truth_of(*rows: Row) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_average_precision_by_hand() -> None:
    """Hit, miss, hit of two true boxes: 1/2 · 1 + 1/2 · 2/3."""
    found = detections((SQUARE, 0.9, 0), ((30.0, 30.0, 40.0, 40.0), 0.8, 0), (FAR, 0.7, 0))
    assert average_precision([(truth_of(SQUARE, FAR), found)]) == pytest.approx(5 / 6)


def test_average_precision_at_the_ends() -> None:
    one = detections((SQUARE, 0.9, 0))
    assert average_precision([]) is None
    assert average_precision([(truth_of(), one)]) is None
    assert average_precision([(truth_of(SQUARE), NOTHING)]) == 0.0
    assert average_precision([(truth_of(SQUARE), detections((FAR, 0.9, 0)))]) == 0.0
    assert average_precision([(truth_of(SQUARE), one)]) == 1.0
    assert average_precision([(truth_of(SQUARE), one), (truth_of(), detections((FAR, 0.1, 0)))]) == 1.0
    assert average_precision([(truth_of(SQUARE), one), (truth_of(), detections((FAR, 0.95, 0)))]) == 0.5


def test_a_true_box_counts_once() -> None:
    twice = detections((SQUARE, 0.9, 0), (SQUARE, 0.8, 0), (FAR, 0.7, 0))
    assert average_precision([(truth_of(SQUARE, FAR), twice)]) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_classes_are_not_looked_at() -> None:
    assert average_precision([(truth_of(SQUARE), detections((SQUARE, 0.9, 77)))]) == 1.0


def test_cosines_by_hand() -> None:
    reference = np.array([[1, 0], [0, 2], [3, 4]], np.float32)
    found = np.array([[5, 0], [1, 0], [4, 3]], np.float32)
    parity = compare_rows(reference, found)
    assert parity.rows == 3
    assert parity.min_cosine == pytest.approx(0)
    assert parity.mean_cosine == pytest.approx((1 + 0 + 24 / 25) / 3)


def test_cosines_at_the_ends() -> None:
    assert compare_rows(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)) == RowParity(0, 1.0, 1.0)
    zero = np.zeros((1, 4), np.float32)
    assert compare_rows(zero, zero).min_cosine == 0.0, "a row without a direction is no match"
    assert compare_rows(zero, np.ones((1, 4), np.float32)).min_cosine == 0.0
    one = np.array([[1, 2, 3]], np.float32)
    assert compare_rows(one, -one).min_cosine == pytest.approx(-1)


def test_cosines_do_not_lose_digits() -> None:
    """1 - 1e-9 is told from 1: sums are in float64."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(5, 512)).astype(np.float32)
    assert abs(compare_rows(rows, rows * 3).min_cosine - 1) < 1e-12
    assert compare_rows(rows, rows * np.float32(1e-18)).min_cosine == pytest.approx(1, abs=1e-6)


def plain_recall(rows: NDArray[np.float32], labels: Sequence[str]) -> float | None:
    hits = counted = 0
    for number, label in enumerate(labels):
        if list(labels).count(label) < 2:
            continue
        others = [other for other in range(len(labels)) if other != number]
        best = max(others, key=lambda other: float(np.dot(rows[number].astype(float), rows[other].astype(float))))
        counted += 1
        hits += labels[best] == label
    return hits / counted if counted else None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.lists(st.sampled_from("abc"), min_size=9, max_size=9))
def test_recall_by_brute_force(count: int, seed: int, names: list[str]) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = plain_recall(rows, names[:count])
    assert recall_at_1(rows, names[:count]) == (None if expected is None else pytest.approx(expected))


def test_recall_by_hand() -> None:
    angles = np.radians([0, 10, 90, 95, 50])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert recall_at_1(rows, ["a", "a", "b", "b", "c"]) == 1.0, "c has no second row and is not asked for"
    assert recall_at_1(rows, ["a", "b", "b", "a", "c"]) == 0.0
    assert recall_at_1(rows, ["a", "b", "a", "b", "a"]) == pytest.approx(0.0)
    assert recall_at_1(rows, ["a", "b", "c", "d", "e"]) is None
    assert recall_at_1(rows[:0], []) is None


def test_a_row_is_not_its_own_neighbor() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    assert recall_at_1(rows, ["a", "b", "a"]) == 0.0
    assert recall_at_1(rows, ["a", "a", "b"]) == 0.5, "the middle one is nearer to the last"
