"""From scores of unknown objects to a threshold for a stated rate of false accepts.

The unit is the product, not the photo: photos of one product resemble the same things, so five of them tell hardly
more than one. Each product weighs the same, however many photos it has.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..bundle import Target
from ..errors import OptionError, PromiseError
from ..ranges import percent
from .samples import KnownScores, Samples, UnknownScores, supported_rate

FEWEST_PRODUCTS = 20
"""With fewer, nothing can be said about the tail of their scores."""
_HIGHEST_SCORE = 1.0
_TAIL = 0.25
_RATE_SHARE, _PRODUCTS_OFF = 0.91, 0.5
_FEWEST_BEYOND = 2
_NEXT = 1e-6
_MOST_PRODUCTS = 1_000_000
_HIGHEST_RATE, _RATES = 0.5, 60
_HALVINGS = 40

Kind = Literal["unknown", "impostors"]


def threshold_for(samples: Samples, target: Target, kind: Kind = "unknown") -> float:
    """Return the threshold for a target: of names or, by `impostors`, of whether an object has a given label.

    Raises:
        OptionError: there are too few products.
    """
    if kind == "impostors":
        return estimated_threshold(samples.impostors, target.rate, new_products=False)
    if target.max_false_accept is None:
        return threshold_for_wrong(samples, target.rate, target.unknown_share, target.confidence)
    if target.confidence is None:
        return estimated_threshold(samples.unknown, target.rate)
    return promised_threshold(samples.unknown, target.rate, target.confidence)


def products_needed(rate: float) -> int:
    """Return how many products tell a rate of 0..1 with 95 % confidence, so that it is not `thin`."""
    needed = bisect_left(range(_MOST_PRODUCTS), True, key=lambda count: supported_rate(count) <= rate)
    return max(FEWEST_PRODUCTS, needed)


def estimated_threshold(unknown: UnknownScores, rate: float, *, new_products: bool = True) -> float:
    """Return the threshold at which the share of unknown objects that get a name is `rate`, as a best estimate.

    The gallery's own products stand for unknown ones, each asked without its label. They score a little less than new
    products do, which have one label more to resemble, and new products with many photos resemble more than others:
    the rate is reduced by 9 %, and by half a product (measured, `benchmarks.calibration`). If fewer than two products
    lie beyond the threshold, the tail above the upper quartile is taken for a generalized Pareto one that ends at 1,
    as scores do (peaks over threshold, Pickands 1975; Hill's estimator of ln(1 - score)).

    Args:
        unknown: the scores.
        rate: between 0 and 1.
        new_products: that these are asked for; False for the rate among these products themselves.

    Raises:
        OptionError: there are fewer than 20 products, or the rate is not between 0 and 1.
    """
    count = _checked(unknown, rate)
    if count < FEWEST_PRODUCTS:
        raise OptionError(f"a threshold needs {FEWEST_PRODUCTS} products, found {count}")
    order = np.argsort(-unknown.scores, kind="stable")
    scores, weights = unknown.scores[order], unknown.weights[order]
    share = rate
    if new_products:
        share = max(_RATE_SHARE * rate * (count + 1) / count - _PRODUCTS_OFF / count, rate / 4)
    middle = np.cumsum(weights) - weights / 2
    if share * count >= _FEWEST_BEYOND:
        return float(np.interp(share, middle, scores)) + _NEXT
    beyond = max(1, int(np.searchsorted(np.cumsum(weights), _TAIL)))
    to_go = _HIGHEST_SCORE - np.minimum(scores[: beyond + 1], _HIGHEST_SCORE - _NEXT)
    shape = float(np.average(np.log(to_go[-1] / to_go[:beyond]), weights=weights[:beyond]))
    return float(_HIGHEST_SCORE - to_go[-1] * (share / _TAIL) ** shape) + _NEXT


def foreign_threshold(scores: NDArray[np.float64], rate: float) -> float:
    """Return the threshold at which this share of foreign products (C,) gets a name."""
    return float(np.quantile(scores, 1 - rate)) + _NEXT


def promised_threshold(unknown: UnknownScores, rate: float, confidence: float) -> float:
    """Return a threshold at which, with this confidence, at most `rate` of as many further products get a name.

    The number of accepted ones among them follows a beta-binomial distribution, given how many products of the gallery
    score above the threshold by their best photo; one more is counted, as new products score a little more.

    Raises:
        OptionError: there are too few products; says how many are missing.
    """
    count = _checked(unknown, rate)
    if not 0 < confidence < 1:
        raise OptionError(f"confidence: expected a number between 0 and 1, found {confidence}")
    if not count:
        raise OptionError("a promise needs products, found none")
    best = np.sort([unknown.scores[unknown.products == product].max() for product in np.unique(unknown.products)])[::-1]
    allowed = int(rate * count + 1e-9)

    def is_too_much(most: int) -> bool:
        return _at_most(allowed, count, most + 2, count - most) < confidence

    kept = bisect_left(range(count), True, key=is_too_much) - 1
    if kept < 0:
        lowest = next(most for most in range(count + 1) if _at_most(most, count, 2, count) >= confidence)
        missing = _missing(count, rate, confidence)
        raise PromiseError(
            f"{percent(rate)} false accepts cannot be promised from {count} products: {missing} more are needed. Ask "
            f"for at least {math.ceil(1000 * lowest / count) / 10}%, or for an estimate without a confidence",
            missing,
        )
    return float(best[kept] + _NEXT)


def _missing(count: int, rate: float, confidence: float) -> str:
    """Return how many more products could promise a rate."""

    def suffice(products: int) -> bool:
        return _at_most(int(rate * products + 1e-9), products, 2, products) >= confidence

    enough = count
    while enough < _MOST_PRODUCTS and not suffice(enough):
        enough *= 2
    if enough >= _MOST_PRODUCTS:
        return f"over {_MOST_PRODUCTS}"
    fewer = enough // 2
    while enough - fewer > 1:
        middle = (fewer + enough) // 2
        fewer, enough = (fewer, middle) if suffice(middle) else (middle, enough)
    return str(enough - count)


def threshold_for_wrong(
    samples: Samples, max_wrong: float, unknown_share: float, confidence: float | None = None
) -> float:
    """Return the lowest threshold at which at most this share of all objects gets a wrong name.

    Wrong are unknown objects with a name and enrolled products with that of another. With a confidence, both shares
    keep their bounds with half of the doubt each (Bonferroni); that of misnamed products is then the upper limit of
    Clopper and Pearson (1934), by products with any misnamed photo.

    Args:
        samples: of the gallery.
        max_wrong: 0..1.
        unknown_share: share of the objects that are not enrolled, 0..1.
        confidence: that it is kept, 0..1; None for a best estimate.

    Raises:
        OptionError: there are too few products, or no threshold suffices.
    """
    sure = None if confidence is None else (1 + confidence) / 2
    highest = min(_HIGHEST_RATE, max_wrong / unknown_share) if unknown_share else _HIGHEST_RATE
    if not samples.known.count:
        raise OptionError(
            "max_wrong: how often products are misnamed can be told only with labels of two photos or more, or from "
            "labeled images: see `shitu-edge calibrate --help`"
        )
    refusal = None
    for rate in np.geomspace(highest, highest / 1000, _RATES):
        try:
            if sure is None:
                threshold = estimated_threshold(samples.unknown, rate)
            else:
                threshold = promised_threshold(samples.unknown, rate, sure)
        except OptionError as error:
            refusal = refusal or error
            break
        if unknown_share * rate + (1 - unknown_share) * misnamed_share(samples.known, threshold, sure) <= max_wrong:
            return threshold
    if isinstance(refusal, PromiseError):  # by false accepts, a share that nobody has stated
        raise PromiseError(
            f"max_wrong: {percent(max_wrong)} cannot be promised from {samples.unknown.count} products, "
            f"{samples.known.count} of them with another photo: allow more, or ask for an estimate without a confidence"
        )
    if refusal:
        raise refusal
    raise OptionError(
        f"max_wrong: {percent(max_wrong)} cannot be kept: too many products are named as another one; "
        "`shitu-edge evaluate` lists them"
    )


def misnamed_share(known: KnownScores, threshold: float, confidence: float | None = None) -> float:
    """Return the share of enrolled products that get another's name, or its upper limit at a confidence."""
    wrong = known.misnamed(threshold)
    if confidence is None:
        return float(known.weights[wrong].sum())
    hit, count = len(np.unique(known.products[wrong])), known.count
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_at_most(hit, count, middle) > 1 - confidence else (low, middle)
    return high


def _binomial_at_most(most: int, count: int, share: float) -> float:
    """Return the binomial probability of at most so many of `count`, of which each counts with this share in 0..1."""

    def log_of(hits: int) -> float:
        ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
        return ways + hits * math.log(share) + (count - hits) * math.log1p(-share)

    return sum(math.exp(log_of(hits)) for hits in range(most + 1))


def _checked(unknown: UnknownScores, rate: float) -> int:
    if not 0 < rate < 1:
        raise OptionError(f"max_false_accept: expected a number between 0 and 1, found {rate}")
    return unknown.count


def _at_most(most: int, count: int, a: int, b: int) -> float:
    """Return the beta-binomial probability of at most so many of `count`, given beta(a, b)."""

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    total = log_beta(a, b)
    return sum(
        math.exp(
            math.lgamma(count + 1)
            - math.lgamma(number + 1)
            - math.lgamma(count - number + 1)
            + log_beta(number + a, count - number + b)
            - total
        )
        for number in range(most + 1)
    )
