"""Operating points worked by hand, and against scikit-learn's ROC curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from shitu_edge.evaluation.open_set import Answers, spread

BY_HAND = Answers(
    np.array([0.9, 0.8, 0.7, 0.6, 0.75, 0.5, 0.4]),
    np.array([True, True, False, True, False, False, False]),
    np.array([True, True, True, True, False, False, False]),
)
"""Four enrolled products, one of them misnamed, and three unknown objects."""


def test_operating_point_worked_by_hand() -> None:
    point = BY_HAND.at(0.7)
    assert (point.named_right, point.misnamed) == (0.5, 0.25)
    assert point.false_accepts == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("most", "threshold", "right", "accepts"),
    [(0.0, 0.8, 0.5, 0.0), (0.32, 0.8, 0.5, 0.0), (1 / 3, 0.6, 0.75, 1 / 3), (1.0, 0.4, 0.75, 1.0)],
)
def test_lowest_threshold_within_false_accepts(most: float, threshold: float, right: float, accepts: float) -> None:
    point = BY_HAND.at_false_accepts(most)
    assert point.threshold == threshold
    assert point.named_right == right
    assert point.false_accepts == pytest.approx(accepts)


def test_target_that_only_silence_meets() -> None:
    point = Answers(np.array([0.5, 0.9]), np.array([True, False]), np.array([True, False])).at_false_accepts(0)
    assert (point.named_right, point.false_accepts) == (0, 0)
    assert point.threshold > 0.9


def test_without_unknown_objects_there_is_no_rate() -> None:
    point = Answers(np.array([0.5]), np.array([True]), np.array([True])).at_false_accepts(0.01)
    assert np.isnan(point.false_accepts)
    assert point.named_right == 1


def test_curve_equals_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    known = rng.random(3000) < 0.5
    scores = rng.normal(np.where(known, 0.6, 0.4), 0.1)
    answers = Answers(scores, np.ones(3000, bool), known)
    curve = answers.curve()
    assert len(curve) == 200
    false, true, thresholds = roc_curve(known, scores, drop_intermediate=False)
    for point in curve:
        place = np.flatnonzero(thresholds <= point.threshold)[0]
        assert point.false_accepts == pytest.approx(false[place], abs=1e-12)
        assert point.named_right == pytest.approx(true[place], abs=1e-12)


def test_spread_over_labels() -> None:
    labels = np.array(["tea", "tea", "milk", "milk", "x", "y", "z"])
    found = spread(BY_HAND, labels, 0.65)
    assert (found.labels, found.mean, found.deviation) == (2, 0.5, 0.5)
    assert found.worst == (("milk", 0.0), ("tea", 1.0))
