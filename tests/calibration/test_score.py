"""The calibrated score by hand, and one query against many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shitu_edge.calibration import score_of, scores_of
from shitu_edge.results import Match


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
