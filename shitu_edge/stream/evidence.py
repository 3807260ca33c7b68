"""How sure looks at one thing are together: log-likelihoods summed until a bound, as in Wald's sequential test.

A look's log-likelihood ratio, of its label against none, is `bound + slope · (score - threshold)`. At the threshold,
from which the gallery names a product at its stated rate of false accepts, one look suffices. The slope is that of the
gallery's logistic calibration.

Looks at a thing that rests are nearly the same look: of the variance of their scores, 97 % is between things
(`benchmarks/stream.py`). So n of them count as n / (1 + (n - 1) · 0.97) ≤ 1.03. What they do is to average out the
jitter of boxes and noise. A thing that was moved or turned shows another pose, whose looks are more news.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..results import Decision, LabelCandidate, Match
from ..stages.decide import Verdict

SAME_POSE, OTHER_POSE = 0.97, 0.66
"""Correlation of the scores of looks at one thing (`benchmarks/stream.py`)."""
USUAL_SLOPE = 12.0
"""Of a gallery without a logistic calibration; those of the benchmarks' galleries are 8 to 16."""
ONE_LABEL, SURE_LABEL = math.log(0.9 / 0.1), math.log(0.99 / 0.01)
"""Log-odds of the first label among those of the gallery: as `recognize` asks for, and to be sure at once."""
_FEWEST_LOOKS, ENOUGH_LOOKS = 2, 3
_POSES = 4
_JITTERS, _LEAST_JITTER = 4.0, 0.02
"""A row that differs more from a pose than four times the usual, and by more than 0.02, is of another pose or thing."""
_FOLLOW = 0.2


def bound(false_accepts: float) -> float:
    """Return the sum of log-likelihoods from which a thing has a label.

    A sum that has no label to find ever reaches ln(1 / rate) with a probability of at most this rate, 0..1, however
    often one looks (Wald 1945, Ville 1939).
    """
    return math.log(1 / false_accepts)


def effective(looks: int, correlation: float = SAME_POSE) -> float:
    """Return how many independent looks so many correlated ones are worth."""
    return looks / (1 + (looks - 1) * correlation) if looks else 0.0


@dataclass(slots=True)
class _Pose:
    total: NDArray[np.float64]
    looks: int = 0

    @property
    def mean(self) -> NDArray[np.float64]:
        return self.total / self.looks


class Looks:
    """The looks at one thing: means of their unit rows, by pose. Of older poses the last three count."""

    def __init__(self) -> None:
        self._poses: list[_Pose] = []
        self._jitter = 0.0

    @property
    def here(self) -> int:
        """Number of looks at the present pose."""
        return self._poses[-1].looks if self._poses else 0

    @property
    def effective(self) -> float:
        """How many independent looks all of them are worth."""
        return sum(effective(pose.looks) for pose in self._poses) / (1 + (len(self._poses) - 1) * OTHER_POSE)

    def turn(self) -> None:
        """Begin another pose."""
        if self.here:
            self._poses = [*self._poses[1 - _POSES :], _Pose(np.zeros_like(self._poses[-1].total))]

    def add(self, row: NDArray[np.float32]) -> None:
        """Take a unit row (D,) of the present pose."""
        if not self._poses:
            self._poses.append(_Pose(np.zeros(len(row), np.float64)))
        if self.here:
            self._jitter += _FOLLOW * (1 - self.likeness(row) - self._jitter)
        self._poses[-1].total += row
        self._poses[-1].looks += 1

    def likeness(self, row: NDArray[np.float32]) -> float:
        """Return the cosine of a unit row with the last pose that was looked at; 0 without any."""
        seen = [pose.total for pose in self._poses if pose.looks]
        return float(seen[-1] @ row / np.linalg.norm(seen[-1])) if seen else 0.0

    def is_same(self, row: NDArray[np.float32]) -> bool:
        """Return whether a unit row differs from the last pose by no more than looks at a resting thing do."""
        return 1 - self.likeness(row) <= max(_JITTERS * self._jitter, _LEAST_JITTER)

    def pooled(self) -> tuple[NDArray[np.float32], float]:
        """Return a unit row (D,) and the factor of its similarities that makes them the mean of all looks'.

        There must be one look. Poses weigh by their effective looks.
        """
        seen = [pose for pose in self._poses if pose.looks]
        mean = np.average([pose.mean for pose in seen], axis=0, weights=[effective(pose.looks) for pose in seen])
        length = float(np.linalg.norm(mean))
        return (mean / length).astype(np.float32), length


def scaled(matches: tuple[Match, ...], factor: float) -> tuple[Match, ...]:
    """Return neighbors with their similarities times a factor."""
    return tuple(replace(match, similarity=match.similarity * factor) for match in matches)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the looks at a thing say together.

    Attributes:
        matches: the nearest gallery items, with the mean similarities of all looks.
        verdict: of the recognizer on them.
        total: sum of the log-likelihoods that it is enrolled.
        label_odds: sum of the log-odds of its first label.
        enough: the bound of the sum.
    """

    matches: tuple[Match, ...]
    verdict: Verdict
    total: float
    label_odds: float
    enough: float

    @classmethod
    def of(
        cls,
        matches: tuple[Match, ...],
        verdict: Verdict,
        needed: float,
        slope: float,
        looks: float,
        enough: float,
    ) -> Finding:
        """Weigh a verdict.

        Args:
            matches, verdict: see above.
            needed: score, or similarity without a calibrated score, from which a product is named.
            slope: log-likelihood per score.
            looks: how many independent ones there were.
            enough: the bound of the sum.
        """
        reached = verdict.similarity if verdict.score is None else verdict.score
        if reached is None or not verdict.candidates:
            return cls(matches, verdict, -math.inf, -math.inf, enough)
        share = min(verdict.candidates[0].share, 1 - 1e-9)
        total = looks * (enough + slope * (reached - needed))
        return cls(matches, verdict, total, looks * math.log(share / (1 - share)), enough)

    def decision(self, looks: int, *, time_is_up: bool) -> Decision | None:
        """Return the decision after so many looks at the present pose; None while more may help.

        What reaches the bound and has one label is named: at the second look if no other label is near, else at the
        third, after which further ones tell next to nothing. The rest is ambiguous or unknown when time is up, because
        a hand may still cover it.
        """
        enrolled = self.total >= self.enough and not self.verdict.negative
        sure = looks >= _FEWEST_LOOKS and self.label_odds >= SURE_LABEL
        enough = sure or ((looks >= ENOUGH_LOOKS or time_is_up) and self.label_odds >= ONE_LABEL)
        if enrolled and enough and not self._ambiguous:
            return "accepted"
        if not time_is_up:
            return None
        return "ambiguous" if enrolled else "unknown"

    @property
    def _ambiguous(self) -> bool:
        """By the policy's margin or confirmed look-alikes, whatever the shares."""
        return self.verdict.decision == "ambiguous"

    @property
    def first(self) -> LabelCandidate | None:
        """The likeliest label."""
        return self.verdict.candidates[0] if self.verdict.candidates else None
