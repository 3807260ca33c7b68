"""Linear discriminant analysis: which directions of features tell products apart, from two covariances alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]
_LITTLE = 1e-9


@dataclass(frozen=True, slots=True)
class Scatter:
    """Covariances (C, C) of features within products and between their means, and the mean (C,) of all."""

    within: Features
    between: Features
    mean: Features

    @classmethod
    def of(cls, features: Features, labels: NDArray[np.int32], weights: Features | None = None) -> Scatter:
        """Measure features (N, C) of labels (N,), which count by weights (N,); None: all alike."""
        weights = np.ones(len(features)) if weights is None else weights
        _, product = np.unique(labels, return_inverse=True)
        totals = np.bincount(product, weights)
        means = np.zeros((len(totals), features.shape[1]))
        np.add.at(means, product, features * weights[:, None])
        means /= totals[:, None]
        rest = features - means[product]
        freedom = weights.sum() - (np.bincount(product, weights**2) / totals).sum()
        within = (rest * weights[:, None]).T @ rest / (freedom if freedom > _LITTLE else 1)
        return cls(within, np.cov(means, rowvar=False), np.average(features, 0, weights))

    @classmethod
    def mix(
        cls, scatters: Sequence[Scatter], shares: Sequence[float], shares_within: Sequence[float] | None = None
    ) -> Scatter:
        """Return the mean of several, by shares of any sum; `shares_within` are those of `within` if they differ."""
        by_part = {"within": shares if shares_within is None else shares_within, "between": shares, "mean": shares}
        stacks = {part: np.stack([getattr(one, part) for one in scatters]) for part in by_part}
        return cls(**{part: np.tensordot(np.divide(by, sum(by)), stacks[part], 1) for part, by in by_part.items()})


def discriminant(scatter: Scatter, dim: int, shrinkage: float) -> tuple[Features, Features]:
    """Return the linear map (dim, C) and offset (dim,) whose outputs' inner products tell products apart.

    The directions are those in which the variance between products is largest against that within (Fisher, "The Use of
    Multiple Measurements in Taxonomic Problems", 1936). All count alike: the variance within is the same in each. To
    weigh them by the products of the fit, as probabilistic discriminant analysis does, helps those products and hurts
    others (`shitu_small/README.md`). A factor gives outputs a mean square length of about 1.

    Args:
        scatter: of features with C numbers.
        dim: how many directions, those first that tell least apart.
        shrinkage: of the mean variance within products, added to every direction: few images do not measure the small
            ones.
    """
    count = len(scatter.within)
    within = scatter.within + shrinkage * np.trace(scatter.within) / count * np.eye(count)
    variances, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(variances)
    between, turn = np.linalg.eigh(whiten.T @ scatter.between @ whiten)
    matrix = (whiten @ turn[:, -dim:]).T / np.sqrt((1 + np.maximum(between[-dim:], 0)).sum())
    return matrix, -matrix @ scatter.mean
