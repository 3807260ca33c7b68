"""Probabilities that are as often right as they say, and only where the gallery supports them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from shitu_edge.calibration import KnownScores, Probability, Samples, UnknownScores, fit_probability


def samples(products: int, photos: int = 5, apart: float = 0.3, seed: int = 0) -> Samples:
    """Enrolled products around 0.6, unknown ones lower; photos of a product scatter less than products."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(products), photos)

    def scores(middle: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return middle + np.repeat(0.08 * rng.normal(size=products), photos) + 0.05 * rng.normal(size=len(numbers))

    known = KnownScores(scores(0.6), np.ones(len(numbers), bool), numbers)
    return Samples(UnknownScores(scores(0.6 - apart), numbers), known)


def fitted(of: Samples, unknown_share: float = 0.1) -> Probability:
    found = fit_probability(of, unknown_share)
    assert found is not None
    return found


@pytest.mark.parametrize("unknown_share", [0.05, 0.3])
def test_probability_is_as_often_right_as_it_says(unknown_share: float) -> None:
    probability, fresh = fitted(samples(2000, apart=0.2), unknown_share), samples(2000, apart=0.2, seed=9)
    scores = np.concatenate([fresh.known.scores, fresh.unknown.scores])
    weights = np.r_[np.full(10_000, 1 - unknown_share), np.full(10_000, unknown_share)]
    said = np.array([probability.at(score) or np.nan for score in scores])
    for low, high in ((0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        within = (said > low) & (said <= high)
        assert within.sum() > 50
        right = np.average(np.arange(20_000)[within] < 10_000, weights=weights[within])
        assert right == pytest.approx(np.average(said[within], weights=weights[within]), abs=0.05)


def test_fit_equals_scikit_learn() -> None:
    of = samples(100, 3)
    probability = fitted(of, 0.3)
    inputs = np.concatenate([of.known.scores, of.unknown.scores])[:, None]
    weights = np.concatenate([0.7 * of.known.weights, 0.3 * of.unknown.weights])
    oracle = LogisticRegression(C=1e3, tol=1e-10).fit(inputs, np.r_[np.ones(300), np.zeros(300)], 600 * weights)
    for score in (0.3, 0.4, 0.5, 0.6):
        value = 1 / (1 + np.exp(-(probability.offsets[0] + probability.slopes[0] * score)))
        assert value == pytest.approx(oracle.predict_proba([[score]])[0, 1], abs=0.01)


def test_interval_decides_whether_it_is_said() -> None:
    few, many = fitted(samples(20, 1, 0.15)), fitted(samples(1000, 1, 0.15))
    said = [[one.at(score) is not None for score in np.linspace(0.3, 0.7, 41)] for one in (few, many)]
    assert sum(said[0]) < 25 < 30 < sum(said[1])


def test_higher_scores_are_likelier_and_extremes_are_numbers() -> None:
    probability = fitted(samples(300))
    said = [probability.at(score) for score in (-3.0, 0.2, 0.6, 1.0)]
    assert said == sorted(said, key=lambda value: value or 0)
    assert all(value is not None and 0 <= value <= 1 for value in said)


@pytest.mark.parametrize("products", [0, 1, 19])
def test_few_products_have_none(products: int) -> None:
    assert fit_probability(samples(products), 0.1) is None
    assert fit_probability(Samples(samples(100).unknown), 0.1) is None, "each label has one photo"


def test_separable_and_equal_scores_do_not_run_away() -> None:
    numbers = np.arange(50)
    apart = Samples(UnknownScores(np.zeros(50), numbers), KnownScores(np.ones(50), np.ones(50, bool), numbers))
    assert 0 <= (fitted(apart).at(0.0) or 0) < 0.2 < 0.8 < (fitted(apart).at(1.0) or 0) <= 1
    equal = Samples(UnknownScores(np.ones(50), numbers), KnownScores(np.ones(50), np.ones(50, bool), numbers))
    assert fitted(equal, 0.3).at(1.0) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("unknown_share", [0.0, 1.0])
def test_extreme_shares_of_unknown_objects(unknown_share: float) -> None:
    assert fitted(samples(50), unknown_share).at(0.5) == pytest.approx(1 - unknown_share, abs=0.05)
