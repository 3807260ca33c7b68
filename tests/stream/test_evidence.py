"""Sums of log-likelihoods, compared with numbers worked by hand and with simulated looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import LabelCandidate, Match
from shitu_edge.stages.decide import Verdict
from shitu_edge.stream.evidence import OTHER_POSE, SAME_POSE, Finding, Looks, bound, effective, scaled

ENOUGH = bound(0.01)
MATCHES = (Match(1, "red", 0.8), Match(2, "green", 0.5))


def finding(score: float, share: float, looks: float = 1.0, decision: str = "accepted") -> Finding:
    candidates = (LabelCandidate("red", 1, 0.8, share), LabelCandidate("green", 2, 0.5, 1 - share))
    verdict = Verdict(decision, "red", 0.8, score, False, candidates)  # type: ignore[arg-type]
    return Finding.of(MATCHES, verdict, 0.5, 12.0, looks, ENOUGH)


def unit(*values: float) -> NDArray[np.float32]:
    row = np.array(values, np.float32)
    row /= np.linalg.norm(row)
    return row


def test_bound_is_kept_by_independent_looks_at_unknown_objects() -> None:
    """Ville: sums of log-likelihood ratios of Gaussian scores reach ln(1 / rate) for at most this share."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (20_000, 50))  # of unknown objects; those of products have the mean 1
    sums = np.cumsum(scores - 0.5, axis=1)
    assert (sums.max(axis=1) >= bound(0.05)).mean() <= 0.05


def test_effective_of_simulated_correlated_looks() -> None:
    rng = np.random.default_rng(1)
    things = rng.normal(0, math.sqrt(SAME_POSE), (200_000, 1))
    looks = things + rng.normal(0, math.sqrt(1 - SAME_POSE), (200_000, 8))
    assert effective(8) == pytest.approx(1 / looks.mean(axis=1).var(), rel=0.02)
    assert (effective(0), effective(1)) == (0, 1)
    assert effective(10**6) < 1 / SAME_POSE


def test_finding_reaches_the_bound_at_the_threshold() -> None:
    assert finding(0.5, 0.99).total == pytest.approx(math.log(100))
    assert finding(0.6, 0.99).total == pytest.approx(math.log(100) + 1.2)
    assert finding(0.4, 0.9, looks=2).total == pytest.approx(2 * (math.log(100) - 1.2))
    assert finding(0.5, 0.9, looks=2).label_odds == pytest.approx(2 * math.log(9))


@pytest.mark.parametrize(
    ("score", "share", "looks", "time_is_up", "expected"),
    [
        (0.6, 0.999, 1, False, None),
        (0.6, 0.999, 2, False, "accepted"),
        (0.6, 0.95, 2, False, None),
        (0.6, 0.95, 3, False, "accepted"),
        (0.6, 0.7, 50, False, None),
        (0.6, 0.7, 1, True, "ambiguous"),
        (0.3, 0.999, 50, False, None),
        (0.3, 0.999, 1, True, "unknown"),
    ],
)
def test_decision(score: float, share: float, looks: int, time_is_up: bool, expected: str | None) -> None:
    assert finding(score, share, effective(looks)).decision(looks, time_is_up=time_is_up) == expected


def test_decision_keeps_confirmed_look_alikes_ambiguous() -> None:
    assert finding(0.6, 0.999, decision="ambiguous").decision(9, time_is_up=True) == "ambiguous"


def test_decision_of_an_empty_gallery_is_unknown() -> None:
    empty = Finding.of((), Verdict("unknown", None, None), 0.5, 12.0, 1.0, ENOUGH)
    assert empty.decision(5, time_is_up=False) is None
    assert empty.decision(5, time_is_up=True) == "unknown"


def test_pooled_similarities_are_the_mean_of_all_looks() -> None:
    rng = np.random.default_rng(2)
    rows = [unit(*(rng.normal(0, 1, 8) + 2)) for _ in range(5)]
    looks = Looks()
    for row in rows:
        looks.add(row)
    item = unit(*rng.normal(1, 1, 8))
    pooled, factor = looks.pooled()
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-6)
    [match] = scaled((Match(1, "red", float(pooled @ item)),), factor)
    assert match.similarity == pytest.approx(np.mean([row @ item for row in rows]), abs=1e-6)


def test_pooled_poses_weigh_alike_however_long_they_lasted() -> None:
    looks = Looks()
    for _ in range(1000):
        looks.add(unit(1, 0, 0))
    looks.turn()
    looks.add(unit(0, 1, 0))
    pooled, _ = looks.pooled()
    assert pooled.tolist() == pytest.approx(unit(1, 1, 0).tolist(), abs=0.02)
    assert looks.effective == pytest.approx((1 / SAME_POSE + 1) / (1 + OTHER_POSE), rel=1e-3)
    assert looks.here == 1


def test_looks_keep_four_poses() -> None:
    looks = Looks()
    for number in range(100):
        looks.turn()
        looks.add(unit(1, number, 0))
    assert looks.effective == pytest.approx(4 / (1 + 3 * OTHER_POSE))
    assert looks.likeness(unit(1, 99, 0)) == pytest.approx(1)
