"""Statistics of samples: quantiles with confidence intervals, comparison of two runs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_RESAMPLES = 2000
_DRAWN_FROM, _AT_ONCE = 10_000, 1 << 20

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantile:
    """An estimate and its confidence interval; an end is None with too few samples."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Milliseconds of `count` samples."""

    count: int
    mean: float
    p50: Quantile
    p95: Quantile
    p99: Quantile
    max: float


@dataclass(frozen=True, slots=True)
class Change:
    """Ratio of a second run's median to the first's (0.9: a tenth less), and its confidence interval."""

    ratio: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes 1."""
        return not self.low <= 1 <= self.high


def summarize(samples: Sequence[float] | Samples) -> Summary:
    """Summarize at least one sample."""
    values = np.sort(np.asarray(samples, np.float64))
    p50, p95, p99 = (quantile(values, share) for share in (0.5, 0.95, 0.99))
    return Summary(len(values), float(values.mean()), p50, p95, p99, float(values[-1]))


def quantile(ordered: Samples, share: float) -> Quantile:
    """Estimate a quantile, with an interval that assumes no distribution.

    The number of N samples below the true quantile is binomial, so two of the ordered samples enclose it with at least
    the wanted probability (Conover, "Practical Nonparametric Statistics", 3.2). This assumes independent samples; on a
    machine whose speed drifts the interval is too narrow.

    Args:
        ordered: at least one sample, ascending.
        share: 0..1.
    """
    below = _binomial(len(ordered), share).cumsum()  # below[k]: probability of at most k samples under the quantile
    tail = (1 - CONFIDENCE) / 2
    low = int(np.searchsorted(below, tail, side="right"))  # the first k with more than a tail at or under it
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return Quantile(
        float(np.quantile(ordered, share)),
        float(ordered[low - 1]) if low >= 1 else None,
        float(ordered[high - 1]) if high <= len(ordered) else None,
    )


def _binomial(count: int, share: float) -> NDArray[np.float64]:
    """Return the probabilities of 0..count successes."""
    successes = np.arange(count + 1)
    factorials = np.array([math.lgamma(n + 1) for n in range(count + 1)])
    choices = factorials[count] - factorials - factorials[::-1]
    probabilities: NDArray[np.float64] = np.exp(
        choices + successes * math.log(share) + (count - successes) * math.log1p(-share)
    )
    return probabilities


def compare(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Change:
    """Compare two runs' medians by bootstrap.

    Neighboring samples are correlated (caches, clock rates, load), so blocks of about the square root of their number
    are drawn (Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", 1989).

    Args:
        before, after: samples in order of measurement, at least one each, all positive.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    ratios = _medians(second, rng) / _medians(first, rng)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Change(float(np.median(second) / np.median(first)), float(low), float(high))


def _medians(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the medians of resamples in blocks; very many samples are thinned first."""
    samples = samples[:: -(-len(samples) // _DRAWN_FROM)]
    count = len(samples)
    block = max(1, round(math.sqrt(count)))
    starts = rng.integers(0, count, (_RESAMPLES, -(-count // block)))
    medians = []
    for some in np.array_split(starts, -(-_RESAMPLES * count // _AT_ONCE)):
        drawn = (some[:, :, None] + np.arange(block)).reshape(len(some), -1)[:, :count] % count
        medians.append(np.median(samples[drawn], axis=1))
    return np.concatenate(medians)
