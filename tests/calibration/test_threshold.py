"""Thresholds against distributions whose tails are known, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom

from shitu_edge.calibration import UnknownScores, estimated_threshold, promised_threshold, threshold
from shitu_edge.errors import OptionError


def normal(products: int, photos: int = 1, seed: int = 0) -> UnknownScores:
    """Products whose photos score alike: standard normal scores, photos apart by a tenth of that."""
    rng = np.random.default_rng(seed)
    of_product = rng.normal(size=products)
    scores = np.repeat(of_product, photos) + 0.1 * rng.normal(size=products * photos)
    return UnknownScores(scores, np.repeat(np.arange(products), photos))


@pytest.mark.parametrize(("products", "rate"), [(60, 0.05), (60, 0.1), (200, 0.02), (200, 0.05), (1000, 0.01)])
@pytest.mark.parametrize("photos", [1, 5])
def test_estimate_keeps_the_rate_on_average(products: int, rate: float, photos: int) -> None:
    further = normal(200_000, seed=99).scores
    rates = [np.mean(further >= estimated_threshold(normal(products, photos, seed), rate)) for seed in range(200)]
    assert 0.7 * rate < np.mean(rates) < 1.1 * rate


def test_estimate_beyond_the_data_extends_the_tail() -> None:
    further = np.random.default_rng(9).exponential(size=400_000)
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(200):
        own = UnknownScores(rng.exponential(size=60), np.arange(60))
        rates.append(np.mean(further >= estimated_threshold(own, 0.01)))
    assert 0.004 < np.mean(rates) < 0.015


def test_each_product_weighs_the_same() -> None:
    few = normal(50)
    loud = UnknownScores(
        np.concatenate([few.scores, np.full(2000, 9.0)]), np.concatenate([few.products, np.full(2000, 50)])
    )
    assert loud.count == 51
    assert estimated_threshold(loud, 0.2) < 3, "2 000 photos of one product are one product of 51"


@pytest.mark.parametrize(("products", "rate"), [(106, 0.05), (106, 0.1), (40, 0.1), (500, 0.01)])
def test_promise_is_kept_in_nine_of_ten(products: int, rate: float) -> None:
    rng = np.random.default_rng(5)
    kept = []
    for seed in range(300):
        least = promised_threshold(normal(products, seed=seed), rate, 0.9)
        kept.append(np.mean(rng.normal(0, np.sqrt(1.01), products) >= least) <= rate)
    assert np.mean(kept) >= 0.88


def test_promise_that_the_products_cannot_keep_names_how_many_are_missing() -> None:
    with pytest.raises(OptionError, match=r"0\.1% false accepts cannot be promised from 213 products: \d+ more"):
        promised_threshold(normal(213), 0.001, 0.9)
    estimated_threshold(normal(213), 0.001)  # an estimate is given


def test_missing_products_suffice() -> None:
    with pytest.raises(OptionError) as failure:
        promised_threshold(normal(100), 0.01, 0.9)
    missing = int(str(failure.value).partition("products: ")[2].split()[0])
    promised_threshold(normal(100 + missing), 0.01, 0.9)
    with pytest.raises(OptionError):
        promised_threshold(normal(100 + missing - 1), 0.01, 0.9)


@pytest.mark.parametrize(("products", "confidence"), [(20, 0.9), (59, 0.9), (100, 0.9), (213, 0.99)])
def test_promised_threshold_suggests_lowest_rate_that_holds(products: int, confidence: float) -> None:
    with pytest.raises(OptionError) as failure:
        promised_threshold(normal(products), 0.001, confidence)
    lowest = float(str(failure.value).partition("at least ")[2].partition("%")[0]) / 100
    promised_threshold(normal(products), lowest, confidence)
    with pytest.raises(OptionError):
        promised_threshold(normal(products), lowest - 0.002, confidence)


def test_supported_rate_is_the_rule_of_three() -> None:
    assert normal(213).supported_rate == pytest.approx(3 / 213, rel=0.02)
    assert normal(213).supported_rate == pytest.approx(1 - 0.05 ** (1 / 213))
    assert UnknownScores(np.zeros(0), np.zeros(0, np.int64)).supported_rate == 1


@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4])
def test_hopeless_promise_is_refused_at_once(rate: float) -> None:
    with pytest.raises(OptionError, match=r"(over 1000000|\d+) more are needed"):
        promised_threshold(normal(213), rate, 0.9)


def test_equal_scores_are_all_unknown() -> None:
    equal = UnknownScores(np.full(100, 0.5), np.arange(100))
    assert estimated_threshold(equal, 0.01) > 0.5
    assert estimated_threshold(equal, 0.1) > 0.5


@pytest.mark.parametrize(("products", "rate"), [(19, 0.05), (50, 0.0), (50, 1.0), (50, -0.1), (0, 0.05)])
def test_refused(products: int, rate: float) -> None:
    with pytest.raises(OptionError):
        estimated_threshold(normal(products), rate)
    with pytest.raises(OptionError):
        promised_threshold(normal(products), rate, 0.9)


@pytest.mark.parametrize("confidence", [0, 1, -1, 2])
def test_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(OptionError, match="confidence"):
        promised_threshold(normal(50), 0.1, confidence)


@pytest.mark.parametrize(("most", "count", "a", "b"), [(0, 10, 1, 5), (3, 100, 2, 99), (10, 106, 4, 103)])
def test_beta_binomial_equals_scipy(most: int, count: int, a: int, b: int) -> None:
    assert threshold._at_most(most, count, a, b) == pytest.approx(betabinom.cdf(most, count, a, b), rel=1e-9)
