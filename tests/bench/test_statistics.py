"""Against samples of which everything is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from shitu_edge.bench.statistics import compare, quantile, summarize


def test_a_summary_of_known_samples() -> None:
    found = summarize([float(n) for n in range(100, 0, -1)])
    assert (found.count, found.mean, found.max) == (100, 50.5, 100.0)
    assert (found.p50.value, found.p95.value, found.p99.value) == pytest.approx((50.5, 95.05, 99.01))


def test_the_interval_of_a_median_is_the_one_in_the_tables() -> None:
    """Conover's table for n = 20: the 6th and the 15th of the ordered samples, at 95.9 %."""
    found = quantile(np.arange(1.0, 21.0), 0.5)
    assert (found.low, found.high) == (6.0, 15.0)


@pytest.mark.parametrize(("count", "open_above"), [(367, True), (368, False)])
def test_a_p99_needs_368_samples_for_an_upper_end(count: int, open_above: bool) -> None:
    """0.99 ** 367 > 0.025 > 0.99 ** 368: only then the greatest sample is likely enough beyond it."""
    assert (quantile(np.arange(float(count)), 0.99).high is None) == open_above


def test_one_sample_has_no_interval() -> None:
    found = summarize([7.0])
    assert (found.p50.value, found.p50.low, found.p50.high) == (7.0, None, None)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_intervals_hold_what_they_promise(share: float) -> None:
    """Of 2000 runs of known distribution at least 95 % of the intervals hold the true quantile, but not all."""
    rng = np.random.default_rng(1)
    truth = -np.log(1 - share)
    held = 0
    for _ in range(2000):
        found = quantile(np.sort(rng.exponential(size=500)), share)
        held += (found.low or 0) <= truth <= (found.high or np.inf)
    assert 0.94 <= held / 2000 < 0.995


def test_noise_is_no_change() -> None:
    """Runs of the same machine differ at most as often as the confidence says."""
    rng = np.random.default_rng(2)
    beyond = sum(
        compare(rng.gamma(20, 5, 150).tolist(), rng.gamma(20, 5, 150).tolist(), seed).beyond_noise
        for seed in range(100)
    )
    assert beyond <= 12


def test_a_tenth_is_a_change() -> None:
    rng = np.random.default_rng(3)
    before = rng.gamma(400, 0.25, 200)
    found = compare(before.tolist(), (rng.gamma(400, 0.25, 200) * 0.9).tolist())
    assert found.beyond_noise
    assert found.low < 0.9 < found.high
    assert found.ratio == pytest.approx(0.9, abs=0.03)


def test_drift_widens_the_interval() -> None:
    """A slow swing makes neighbors alike; single samples drawn anew would not notice."""
    rng = np.random.default_rng(4)
    swing = 100 + 10 * np.sin(np.arange(300) / 40) + rng.normal(0, 1, 300)
    shuffled = rng.permutation(swing)
    drifting, steady = compare(swing.tolist(), swing.tolist()), compare(shuffled.tolist(), shuffled.tolist())
    assert drifting.high - drifting.low > 1.5 * (steady.high - steady.low)


def test_a_comparison_of_very_many_samples_takes_little_memory() -> None:
    """As much as 2000 times their number, all at once, did not fit."""
    rng = np.random.default_rng(5)
    before = rng.gamma(400, 0.25, 300_000)
    after = before * rng.normal(1.1, 0.01, len(before))
    tracemalloc.start()
    found = compare(before.tolist(), after.tolist())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20
    assert found.low < 1.1 < found.high
    assert found.high - found.low < 0.02
