"""From scores of unknown objects to a threshold for a stated rate of false accepts.

The unit is the product, not the photo: photos of one product resemble the same things, so five of them tell hardly
more than one. Each product weighs the same, however many photos it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError

FEWEST_PRODUCTS = 20
"""With fewer, nothing can be said about the tail of their scores."""
_CONFIDENCE = 0.95
_TAIL = 0.25
_RATE_SHARE, _PRODUCTS_OFF = 0.91, 0.5
_FEWEST_BEYOND = 2
_NEXT = 1e-6
_MOST_PRODUCTS = 1_000_000


@dataclass(frozen=True, slots=True)
class UnknownScores:
    """Scores (N,) that objects get whose product is not in the gallery, and the product (N,) of each, as a number."""

    scores: NDArray[np.float64]
    products: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of products."""
        return len(np.unique(self.products))

    @property
    def supported_rate(self) -> float:
        """The lowest rate of false accepts that the products can tell with 95 % confidence: about 3 / count."""
        return 1.0 if not self.count else 1 - (1 - _CONFIDENCE) ** (1 / self.count)


def estimated_threshold(unknown: UnknownScores, rate: float) -> float:
    """Return the threshold at which the share of unknown objects that get a name is `rate`, as a best estimate.

    The gallery's own products stand for unknown ones, each asked without its label. They score a little less than new
    products do, which have one label more to resemble, and new products with many photos resemble more than others:
    the rate is reduced by 9 %, and by half a product (measured, `benchmarks.calibration`). If fewer than two products
    lie beyond the threshold, the tail above the upper quartile is taken for exponential (peaks over threshold,
    Pickands 1975); beyond the highest score it counts half, because scores end at 1.

    Raises:
        OptionError: there are fewer than 20 products, or the rate is not between 0 and 1.
    """
    count = _checked(unknown, rate)
    order = np.argsort(-unknown.scores, kind="stable")
    scores, weights = unknown.scores[order], _weights(unknown)[order]
    share = max(_RATE_SHARE * rate * (count + 1) / count - _PRODUCTS_OFF / count, rate / 4)
    middle = np.cumsum(weights) - weights / 2
    if share * count >= _FEWEST_BEYOND:
        return float(np.interp(share, middle, scores)) + _NEXT
    beyond = int(np.searchsorted(np.cumsum(weights), _TAIL))
    base = scores[beyond]
    excess = float(np.average(scores[:beyond] - base, weights=weights[:beyond]))
    extended = float(base + excess * math.log(_TAIL / share)) + _NEXT
    return min(extended, (extended + float(scores[0] + _NEXT)) / 2)


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
    best = np.sort([unknown.scores[unknown.products == product].max() for product in np.unique(unknown.products)])[::-1]
    allowed = int(rate * count + 1e-9)
    kept = -1
    while kept + 1 < count and _at_most(allowed, count, kept + 3, count - kept - 1) >= confidence:
        kept += 1
    if kept < 0:
        lowest = next(most for most in range(count + 1) if _at_most(most, count, 2, count) >= confidence)
        raise OptionError(
            f"{rate:.1%} false accepts cannot be promised from {count} products: "
            f"{_missing(count, rate, confidence)} more are needed. Ask for at least "
            f"{math.ceil(1000 * lowest / count) / 10}%, or for an estimate without a confidence"
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


def _checked(unknown: UnknownScores, rate: float) -> int:
    if not 0 < rate < 1:
        raise OptionError(f"max_false_accept: expected a number between 0 and 1, found {rate}")
    if unknown.count < FEWEST_PRODUCTS:
        raise OptionError(f"a threshold needs {FEWEST_PRODUCTS} products, found {unknown.count}")
    return unknown.count


def _weights(unknown: UnknownScores) -> NDArray[np.float64]:
    """Return weights (N,) that sum to 1, in which each product counts the same."""
    _, places, photos = np.unique(unknown.products, return_inverse=True, return_counts=True)
    return 1 / photos[places] / len(photos)


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
