"""Scores of objects whose label is known, from which thresholds and probabilities are derived."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_CONFIDENCE = 0.95


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
        return supported_rate(self.count)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights (N,) that sum to 1, in which each product counts the same."""
        return product_weights(self.products)


@dataclass(frozen=True, slots=True)
class KnownScores:
    """Scores (N,) that enrolled products get, whether the nearest label is right (N,), and the products (N,)."""

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    products: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of products."""
        return len(np.unique(self.products))

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights (N,) that sum to 1, in which each product counts the same."""
        return product_weights(self.products)

    @property
    def supported_rate(self) -> float:
        """The lowest share of misnamed products that these can tell with 95 % confidence."""
        return supported_rate(self.count)

    def named_right(self, threshold: float) -> float:
        """Return the share of products that get their name from a threshold."""
        return float(self.weights[(self.scores >= threshold) & self.right].sum())

    def misnamed(self, threshold: float) -> NDArray[np.bool_]:
        """Return which (N,) would get the name of another product."""
        return (self.scores >= threshold) & ~self.right


def no_scores() -> UnknownScores:
    """Return a sample without products."""
    return UnknownScores(np.zeros(0), np.zeros(0, np.int64))


def nothing_known() -> KnownScores:
    """Return a sample without products."""
    return KnownScores(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class Samples:
    """Scores of a gallery's items and labeled queries.

    Attributes:
        unknown: each asked without the items of its label.
        known: each asked without itself, if its label has another item.
        impostors: each claimed to be another product, at random.
        foreign: scores (C,) of the bundle's cohort, products that are not the gallery's; empty without one.
    """

    unknown: UnknownScores = field(default_factory=no_scores)
    known: KnownScores = field(default_factory=nothing_known)
    impostors: UnknownScores = field(default_factory=no_scores)
    foreign: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def supported_rate(count: int) -> float:
    """Return the lowest rate that so many products can tell with 95 % confidence: about 3 / count."""
    return 1.0 if not count else 1 - (1 - _CONFIDENCE) ** (1 / count)


def product_weights(products: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights (N,) that sum to 1, in which each product counts the same."""
    _, places, photos = np.unique(products, return_inverse=True, return_counts=True)
    return 1 / photos[places] / max(1, len(photos))
