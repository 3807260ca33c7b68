"""The gate for other precisions: verdicts at the limits and beside them, and the figures they rest on."""

from __future__ import annotations

from dataclasses import replace
from math import nextafter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shitu_edge_export.gate import BoxLoss, Limits, RowLoss, box_loss, row_loss
from shitu_edge_export.images import Sample

from shitu_edge.results import Detections

LIMITS = Limits()
BOXES = BoxLoss(images=10, boxes=1000, kept=0.99, float_ap50=0.5, ap50=0.5)
ROWS = RowLoss(rows=100, mean_cosine=0.999, min_cosine=0.9, float_recall=0.9, recall=0.9)


def below(value: float) -> float:
    return nextafter(value, -1)


def above(value: float) -> float:
    return nextafter(value, 2)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        pytest.param(BOXES, [], id="good"),
        pytest.param(replace(BOXES, kept=0.95), [], id="kept at the limit"),
        pytest.param(
            replace(BOXES, kept=below(0.95)), ["finds 95.0% of float32's boxes, 95% are asked for"], id="below it"
        ),
        pytest.param(replace(BOXES, kept=0.0), ["finds 0.0% of float32's boxes, 95% are asked for"], id="none kept"),
        pytest.param(replace(BOXES, float_ap50=0.02, ap50=0.01), [], id="AP50 falls by the limit"),
        pytest.param(
            replace(BOXES, float_ap50=0.5, ap50=0.48),
            ["AP50 falls from 50.0% to 48.0%, by more than 1.0%"],
            id="by more",
        ),
        pytest.param(replace(BOXES, ap50=0.9), [], id="AP50 rises"),
        pytest.param(replace(BOXES, float_ap50=None, ap50=None), [], id="no true boxes"),
        pytest.param(replace(BOXES, boxes=0, kept=1.0), [], id="no boxes"),
    ],
)
def test_reasons_of_boxes(loss: BoxLoss, expected: list[str]) -> None:
    assert list(loss.reasons(LIMITS)) == expected


def test_both_reasons() -> None:
    assert len(replace(BOXES, kept=0.5, ap50=0.1).reasons(LIMITS)) == 2
    assert not replace(BOXES, kept=0.5, ap50=0.1).reasons(Limits(kept_boxes=0.5, lost_ap=0.5))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        pytest.param(ROWS, [], id="good"),
        pytest.param(replace(ROWS, mean_cosine=0.99), [], id="cosine at the limit"),
        pytest.param(replace(ROWS, mean_cosine=0.98), ["mean cosine 0.9800, 0.99 is asked for"], id="below it"),
        pytest.param(replace(ROWS, float_recall=0.005, recall=0.0), [], id="recall falls by the limit"),
        pytest.param(
            replace(ROWS, float_recall=0.9, recall=0.89),
            ["recall@1 falls from 90.0% to 89.0%"],
            id="recall falls by more",
        ),
        pytest.param(replace(ROWS, recall=1.0), [], id="recall rises"),
        pytest.param(replace(ROWS, float_recall=None, recall=None), [], id="no products"),
        pytest.param(replace(ROWS, min_cosine=-1.0), [], id="one row alone is no reason"),
    ],
)
def test_reasons_of_rows(loss: RowLoss, expected: list[str]) -> None:
    assert list(loss.reasons(LIMITS)) == expected


def test_safe_by_hand() -> None:
    """97 % less a standard error: of 1000 boxes 0.97 - sqrt(0.97 · 0.03 / 1000) = 0.965; of 100 0.953; of 50 0.946."""
    assert [replace(BOXES, boxes=n, kept=0.97).is_safe(LIMITS) for n in (1000, 100, 50)] == [True, True, False]
    assert replace(BOXES, boxes=1, kept=1.0).is_safe(LIMITS), "all kept leaves nothing to chance"
    assert replace(BOXES, boxes=0, kept=1.0).is_safe(LIMITS)
    assert not replace(BOXES, kept=0.95).is_safe(LIMITS), "at the limit there is no margin"
    assert not replace(BOXES, ap50=0.4).is_safe(LIMITS)
    edge = 1 - 0.8 * 0.01
    assert replace(ROWS, mean_cosine=above(edge)).is_safe(LIMITS)
    assert not replace(ROWS, mean_cosine=edge - 1e-6).is_safe(LIMITS)
    assert not replace(ROWS, recall=0.5).is_safe(LIMITS)


share = st.floats(0, 1)
maybe = st.none() | share


@settings(max_examples=200, deadline=None, derandomize=True)
@given(share, st.integers(0, 5000), maybe, share, st.floats(-1, 1), maybe, share)
def test_safe_is_stricter_than_allowed(
    kept: float,
    boxes: int,
    float_ap50: float | None,
    ap50: float,
    cosine: float,
    float_recall: float | None,
    recall: float,
) -> None:
    box = BoxLoss(3, boxes, kept, float_ap50, None if float_ap50 is None else ap50)
    row = RowLoss(3, cosine, cosine, float_recall, None if float_recall is None else recall)
    for loss in (box, row):
        assert not (loss.is_safe(LIMITS) and loss.reasons(LIMITS))
        assert str(loss), "and all of it can be said"


def test_what_is_said() -> None:
    assert str(BOXES) == "99.0% of float32's 1000 boxes on 10 images, AP50 50.0% (float32 50.0%)"
    assert str(replace(BOXES, ap50=None, float_ap50=None)) == "99.0% of float32's 1000 boxes on 10 images"
    assert str(ROWS) == "cosine mean 0.9990, min 0.9000 on 100 crops, recall@1 90.0% (float32 90.0%)"
    assert str(replace(ROWS, recall=None, float_recall=None)) == "cosine mean 0.9990, min 0.9000 on 100 crops"


def detections(*rows: tuple[float, float]) -> Detections:
    """Return squares of 10 px at (x, 0), with a score each, best first."""
    rows = tuple(sorted(rows, key=lambda row: -row[1]))
    boxes = np.array([[x, 0, x + 10, 10] for x, _ in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([s for _, s in rows], np.float32), np.zeros(len(rows), np.int32))


def sample(*places: float, known: bool = True) -> Sample:
    boxes = np.array([[x, 0, x + 10, 10] for x in places], np.float32).reshape(-1, 4)
    return Sample("image", np.zeros((10, 100, 3), np.uint8), boxes if known else None)


def test_losses_of_boxes_by_hand() -> None:
    """The threshold counts for the boxes to find again; AP50 takes the low scores too."""
    reference = [detections((0, 0.9), (50, 0.8), (80, 0.1)), detections((0, 0.3))]
    found = [detections((0, 0.9), (50, 0.1), (80, 0.1)), detections((1, 0.3))]
    loss = box_loss([sample(0, 50), sample(known=False)], reference, found, 0.2, LIMITS)
    assert (loss.images, loss.boxes) == (2, 3)
    assert loss.kept == pytest.approx(2 / 3), "one is below the threshold now; 9 of 11 px overlap is 0.82"
    assert loss.float_ap50 == loss.ap50 == 1.0
    stricter = box_loss([sample(0, 50), sample(known=False)], reference, found, 0.2, replace(LIMITS, kept_iou=0.9))
    assert stricter.kept == pytest.approx(1 / 3)


def test_a_box_exactly_at_the_threshold_counts() -> None:
    one = [detections((0, 0.25))]
    assert box_loss([sample(known=False)], one, one, 0.25, LIMITS).boxes == 1
    assert box_loss([sample(known=False)], one, one, 0.2500001, LIMITS).boxes == 0


def test_images_without_true_boxes_have_no_ap50() -> None:
    one = [detections((0, 0.9))]
    assert box_loss([sample(known=False)], one, one, 0.2, LIMITS).ap50 is None
    assert box_loss([sample()], one, one, 0.2, LIMITS).ap50 is None, "known to be empty: nothing to find"


def test_losses_of_rows_by_hand() -> None:
    reference = np.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]], np.float32)
    found = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
    loss = row_loss(reference, found, ["a", "a", "b", "b"])
    assert loss.mean_cosine == pytest.approx((1 + 0.6 + 0.8 + 0.6) / 4)
    assert loss.min_cosine == pytest.approx(0.6)
    assert (loss.rows, loss.float_recall, loss.recall) == (4, 1.0, 0.0)
    unlabeled = row_loss(reference, found, None)
    assert unlabeled.float_recall is None
    assert unlabeled.recall is None
