"""Thresholds against distributions whose tails are known, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import betabinom, binom

from shitu_edge.bundle import Target
from shitu_edge.calibration import (
    KnownScores,
    Samples,
    UnknownScores,
    estimated_threshold,
    foreign_threshold,
    products_needed,
    promised_threshold,
    threshold,
    threshold_for_wrong,
)
from shitu_edge.errors import OptionError, PromiseError


def normal(products: int, photos: int = 1, seed: int = 0) -> UnknownScores:
    """Products whose photos score alike: normal scores around 0.3, photos apart by a tenth of the deviation of 0.1."""
    rng = np.random.default_rng(seed)
    of_product = rng.normal(size=products)
    scores = np.repeat(of_product, photos) + 0.1 * rng.normal(size=products * photos)
    return UnknownScores(0.3 + 0.1 * scores, np.repeat(np.arange(products), photos))


@pytest.mark.parametrize(("products", "rate"), [(60, 0.05), (60, 0.1), (200, 0.02), (200, 0.05), (1000, 0.01)])
@pytest.mark.parametrize("photos", [1, 5])
def test_estimate_keeps_the_rate_on_average(products: int, rate: float, photos: int) -> None:
    further = normal(200_000, seed=99).scores
    rates = [np.mean(further >= estimated_threshold(normal(products, photos, seed), rate)) for seed in range(200)]
    assert 0.7 * rate < np.mean(rates) < 1.1 * rate


def test_estimate_beyond_the_data_extends_the_tail() -> None:
    def ending_at_1(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return 1 - np.exp(-0.3 * rng.exponential(size=size))

    further = ending_at_1(np.random.default_rng(9), 400_000)
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(200):
        own = UnknownScores(ending_at_1(rng, 60), np.arange(60))
        rates.append(np.mean(further >= estimated_threshold(own, 0.01)))
    assert 0.004 < np.mean(rates) < 0.015


def test_each_product_weighs_the_same() -> None:
    few = normal(50)
    loud = UnknownScores(
        np.concatenate([few.scores, np.full(2000, 0.99)]), np.concatenate([few.products, np.full(2000, 50)])
    )
    assert loud.count == 51
    assert estimated_threshold(loud, 0.2) < 0.6, "2 000 photos of one product are one product of 51"


@pytest.mark.parametrize(("products", "rate"), [(106, 0.05), (106, 0.1), (40, 0.1), (500, 0.01)])
def test_promise_is_kept_in_nine_of_ten(products: int, rate: float) -> None:
    rng = np.random.default_rng(5)
    kept = []
    for seed in range(300):
        least = promised_threshold(normal(products, seed=seed), rate, 0.9)
        kept.append(np.mean(0.3 + 0.1 * rng.normal(0, np.sqrt(1.01), products) >= least) <= rate)
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


@pytest.mark.parametrize(("rate", "products"), [(0.01, 299), (0.05, 59), (0.5, 20)])
def test_needed_products_tell_the_rate(rate: float, products: int) -> None:
    assert products_needed(rate) == products


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


def test_estimate_ends_below_the_highest_score() -> None:
    """Varieties of one fruit: most products score near 1 without their label."""
    near = UnknownScores(1 - 0.02 * np.random.default_rng(0).random(40), np.arange(40))
    thresholds = [estimated_threshold(near, rate) for rate in (0.1, 0.01, 0.001, 1e-5)]
    assert thresholds == sorted(thresholds)
    assert 0.98 < thresholds[0] < thresholds[-1] <= 1 + 1e-6


def test_rate_among_the_products_themselves_is_their_quantile() -> None:
    own = normal(1000)
    for rate in (0.05, 0.2):
        assert np.mean(own.scores >= estimated_threshold(own, rate, new_products=False)) == pytest.approx(
            rate, abs=0.002
        )


def test_foreign_threshold_is_the_quantile() -> None:
    scores = np.random.default_rng(0).normal(size=500)
    assert np.mean(scores >= foreign_threshold(scores, 0.02)) == pytest.approx(0.02)


def test_refused_promise_says_how_many_products_are_missing() -> None:
    with pytest.raises(PromiseError) as failure:
        promised_threshold(normal(100), 0.01, 0.9)
    assert f"{failure.value.missing} more are needed" in str(failure.value)


# -- wrong labels


def samples(products: int, misnamed: float, seed: int = 0) -> Samples:
    """Enrolled products that score 0.2 more than unknown ones; of each, this share of ten photos is misnamed."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(products), 10)
    known = 0.5 + 0.1 * rng.normal(size=10 * products)
    return Samples(normal(products, seed=seed), KnownScores(known, rng.random(10 * products) >= misnamed, numbers))


def wrong(threshold: float, misnamed: float, unknown_share: float) -> float:
    """Return the true share of wrong labels of such products."""
    rng = np.random.default_rng(77)
    unknown = 0.3 + 0.1 * rng.normal(0, np.sqrt(1.01), 200_000)
    known = 0.5 + 0.1 * rng.normal(size=200_000)
    return float(
        unknown_share * np.mean(unknown >= threshold) + (1 - unknown_share) * misnamed * np.mean(known >= threshold)
    )


@pytest.mark.parametrize("unknown_share", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("misnamed", [0.0, 0.01])
def test_share_of_wrong_labels_is_kept_on_average(unknown_share: float, misnamed: float) -> None:
    found = [threshold_for_wrong(samples(200, misnamed, seed), 0.02, unknown_share) for seed in range(40)]
    assert np.mean([wrong(one, misnamed, unknown_share) for one in found]) < 0.022


def test_share_of_wrong_labels_is_promised() -> None:
    kept = [
        wrong(threshold_for_wrong(samples(200, 0.01, seed), 0.1, 0.3, 0.9), 0.01, 0.3) <= 0.1 for seed in range(100)
    ]
    assert np.mean(kept) >= 0.9
    for seed in range(5):
        sure = threshold_for_wrong(samples(200, 0.01, seed), 0.1, 0.3, 0.9)
        assert sure > threshold_for_wrong(samples(200, 0.01, seed), 0.1, 0.3)


def test_too_many_misnamed_products_are_refused() -> None:
    always = Samples(normal(100), KnownScores(np.full(100, 0.95), np.zeros(100, bool), np.arange(100)))
    with pytest.raises(OptionError, match=r"max_wrong: 2% cannot be kept"):
        threshold_for_wrong(always, 0.02, 0.1)
    with pytest.raises(OptionError, match="only with labels of two photos"):
        threshold_for_wrong(Samples(normal(100)), 0.02, 0.1)


@pytest.mark.parametrize(("hit", "count"), [(0, 20), (3, 100), (40, 106)])
def test_upper_limit_of_misnamed_products_equals_clopper_pearson(hit: int, count: int) -> None:
    known = KnownScores(np.ones(count), np.arange(count) >= hit, np.arange(count))
    upper = threshold.misnamed_share(known, 0.5, 0.95)
    assert binom.cdf(hit, count, upper) == pytest.approx(0.05, rel=1e-6)
    assert threshold.misnamed_share(known, 0.5) == pytest.approx(hit / count)


@pytest.mark.parametrize(
    "given", [{}, {"max_false_accept": 0.1, "max_wrong": 0.1}, {"max_wrong": 0.1, "unknown_share": 1.5}]
)
def test_target_states_one_share(given: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        Target(**given)
