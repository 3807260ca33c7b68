"""The calibrated score by hand, and one query against many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shitu_edge.calibration import (
    candidates_of,
    label_bests,
    label_score,
    not_ruled_out,
    score_of,
    scores_of,
    shares_of,
)
from shitu_edge.results import LabelCandidate, Match


def test_score_worked_by_hand() -> None:
    matches = [Match(1, "tea", 0.8), Match(2, "tea", 0.75), Match(3, "milk", 0.7), Match(4, "milk", 0.6)]
    # Two labels compete, by their nearest items: ln(1 + e^-1).
    assert score_of(matches) == pytest.approx(0.8 - 0.3 * math.log(1 + math.exp(-1)))


def test_score_of_a_label_without_competition_is_the_similarity() -> None:
    assert score_of([Match(1, "tea", 0.6), Match(2, "tea", 0.5)]) == 0.6


def test_equal_rivals_cost_what_their_number_says() -> None:
    assert score_of([Match(number, str(number), 0.6) for number in range(4)]) == pytest.approx(0.6 - 0.3 * math.log(4))


@pytest.mark.parametrize("labels", [1, 3, 40])
def test_many_queries_score_as_each_alone(labels: int) -> None:
    rng = np.random.default_rng(labels)
    similarities = -np.sort(-rng.uniform(-1, 1, (30, 50)).astype(np.float32), axis=1)
    numbers = rng.integers(0, labels, (30, 50))
    alone = [
        score_of([Match(0, str(label), float(value)) for label, value in zip(row, values, strict=True)])
        for row, values in zip(numbers, similarities, strict=True)
    ]
    np.testing.assert_allclose(scores_of(similarities, numbers), alone, atol=1e-6)


def test_fewer_neighbors_and_none() -> None:
    similarities = np.array([[0.5, -np.inf], [-np.inf, -np.inf]], np.float32)
    assert scores_of(similarities, np.array([[1, 2], [1, 2]])).tolist() == [0.5, -1.0]
    assert scores_of(np.zeros((2, 0), np.float32), np.zeros((2, 0), np.int64)).tolist() == [-1.0, -1.0]


def test_label_score_worked_by_hand() -> None:
    matches = [Match(1, "tea", 0.8), Match(2, "milk", 0.7), Match(3, "milk", 0.6)]
    assert label_score(matches, "tea", 0.8) == pytest.approx(score_of(matches))
    assert label_score(matches, "milk", 0.7) == pytest.approx(0.7 - 0.3 * math.log(1 + math.e))
    far = 0.1 - 0.3 * math.log(1 + math.exp(7) + math.exp(6))
    assert label_score(matches, "cola", 0.1) == pytest.approx(far), "a label that is not among the neighbors"


def test_shares_of_many_queries_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(3)
    similarities = -np.sort(-rng.uniform(-1, 1, (20, 30)).astype(np.float32), axis=1)
    numbers = rng.integers(0, 8, (20, 30))
    shares = shares_of(label_bests(similarities, numbers))
    for row, values, found in zip(numbers, similarities, shares, strict=True):
        alone = candidates_of([Match(0, str(one), float(value)) for one, value in zip(row, values, strict=True)])
        assert found[found > 0].tolist() == pytest.approx([one.share for one in alone], abs=1e-5)
    assert shares_of(np.full((1, 3), -np.inf, np.float32)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("shares", "count"), [((0.95, 0.05), 1), ((0.6, 0.35, 0.05), 2), ((0.4, 0.3, 0.3), 3), ((), 1)]
)
def test_labels_that_are_not_ruled_out_sum_to_nine_tenths(shares: tuple[float, ...], count: int) -> None:
    assert not_ruled_out([LabelCandidate("tea", 1, 0.5, share) for share in shares]) == count
