"""The probability that an object is enrolled, from its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .samples import KnownScores, Samples, UnknownScores

_FEWEST_PRODUCTS = 20
_RESAMPLES = 50
_WIDEST = 0.1
_LOW, _HIGH = 0.05, 0.95
_STEPS = 25
_RIDGE = 1e-4
_STEEPEST = 500.0


@dataclass(frozen=True, slots=True)
class Probability:
    """A logistic function of the score (Platt 1999), and those of resampled products (R,), which tell how sure it is.

    `offsets[0]` and `slopes[0]` are of all products.
    """

    offsets: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def at(self, score: float) -> float | None:
        """Return the probability, None if nine of ten resamples do not agree within 0.1."""
        values = 1 / (1 + np.exp(-np.clip(self.offsets + self.slopes * score, -700, 700)))
        low, high = np.quantile(values, (_LOW, _HIGH))
        return float(values[0]) if high - low <= _WIDEST else None


def fit_probability(samples: Samples, unknown_share: float) -> Probability | None:
    """Return the function for an assumed share of unknown objects; None if there are fewer than 20 products of a kind.

    Products are resampled with all their photos (bootstrap of clusters), the same way each time.
    """
    known, unknown = samples.known, samples.unknown
    if min(known.count, unknown.count) < _FEWEST_PRODUCTS:
        return None
    rng = np.random.default_rng(0)
    fits = [_fit(known, unknown, known.weights, unknown.weights, unknown_share)]
    for _ in range(_RESAMPLES):
        weights = _resampled(known, rng), _resampled(unknown, rng)
        fits.append(_fit(known, unknown, *weights, unknown_share))
    offsets, slopes = np.array(fits).T
    return Probability(offsets, slopes)


def _resampled(sample: KnownScores | UnknownScores, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return weights (N,) that sum to 1, of as many products drawn with replacement."""
    names, places, photos = np.unique(sample.products, return_inverse=True, return_counts=True)
    drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
    return np.asarray(drawn[places] / photos[places] / len(names), np.float64)


def _fit(
    known: KnownScores,
    unknown: UnknownScores,
    known_weights: NDArray[np.float64],
    unknown_weights: NDArray[np.float64],
    unknown_share: float,
) -> tuple[float, float]:
    """Return offset and slope of greatest likelihood, by Newton's method; a slight ridge keeps the slope finite."""
    scores = np.concatenate([known.scores, unknown.scores])
    truth = np.r_[np.ones(len(known.scores)), np.zeros(len(unknown.scores))]
    weights = np.r_[(1 - unknown_share) * known_weights, unknown_share * unknown_weights]
    middle, spread = float(np.average(scores, weights=weights)), max(float(scores.std()), 1e-6)
    inputs = np.stack([np.ones(len(scores)), (scores - middle) / spread], axis=1)
    parameters = np.zeros(2)
    for _ in range(_STEPS):
        share = 1 / (1 + np.exp(-np.clip(inputs @ parameters, -30, 30)))
        slope = inputs.T @ (weights * (truth - share)) - _RIDGE * np.array([0, parameters[1]])
        curvature = (inputs * (weights * np.maximum(share * (1 - share), 1e-9))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + np.diag([1e-9, _RIDGE]), slope)
        parameters = np.clip(parameters + step, -_STEEPEST, _STEEPEST)
        if np.abs(step).max() < 1e-8:
            break
    return float(parameters[0] - parameters[1] * middle / spread), float(parameters[1] / spread)
