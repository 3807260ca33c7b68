"""Linear discriminant analysis: which directions of features tell products apart, from two covariances alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Covariances (C, C) of features within products and between their means, and the mean (C,) of all."""

    within: Features
    between: Features
    mean: Features

    @classmethod
    def of(cls, features: Features, labels: NDArray[np.int32]) -> Scatter:
        """Measure features (N, C) of labels (N,)."""
        _, product = np.unique(labels, return_inverse=True)
        counts = np.bincount(product)
        means = np.zeros((len(counts), features.shape[1]))
        np.add.at(means, product, features)
        means /= counts[:, None]
        rest = features - means[product]
        within = rest.T @ rest / max(1, len(features) - len(counts))
        return cls(within, np.cov(means, rowvar=False), features.mean(0))

    @classmethod
    def mix(cls, scatters: Sequence[Scatter], shares: Sequence[float]) -> Scatter:
        """Return the mean of several, by shares of any sum."""
        parts = (np.stack([getattr(one, part) for one in scatters]) for part in ("within", "between", "mean"))
        return cls(*(np.tensordot(np.divide(shares, sum(shares)), part, 1) for part in parts))


def discriminant(scatter: Scatter, dim: int, shrinkage: float) -> tuple[Features, Features]:
    """Return the linear map (dim, C) and offset (dim,) whose outputs' inner products tell products apart.

    Directions in which the variance within is 1 and that between is e weigh sqrt(e / (1 + e)): inner products are then
    those of the products' means that are to be expected (Ioffe, "Probabilistic Linear Discriminant Analysis", 2006) but
    for a factor, which gives outputs a mean square length of about 1.

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
    between, turn = np.maximum(between[-dim:], 0), turn[:, -dim:]
    matrix = (whiten @ turn * np.sqrt(between / (1 + between) / between.sum())).T
    return matrix, -matrix @ scatter.mean
