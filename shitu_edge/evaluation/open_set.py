"""Open-set identification: right names of enrolled products against names given to unknown objects.

Terms as in NIST's one-to-many tests (FRTE 1:N): FPIR is the share of unknown objects that get a name, FNIR the share of
enrolled products that do not get their own name. The detection and identification rate is 1 - FNIR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

TARGETS = (0.01, 0.02, 0.05, 0.1)
_MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a threshold does, as shares in 0..1; NaN if there are no queries of that kind.

    Attributes:
        threshold: the score from which an answer is a name.
        named_right, misnamed: of enrolled products.
        false_accepts: of unknown objects (FPIR).
    """

    threshold: float
    named_right: float
    misnamed: float
    false_accepts: float


@dataclass(frozen=True, slots=True)
class Answers:
    """Scored answers to queries, each (Q,): score, whether the nearest label is the query's, whether it is enrolled."""

    scores: Floats
    right: Flags
    known: Flags

    def at(self, threshold: float) -> OperatingPoint:
        """Return what a threshold does."""
        named = self.scores >= threshold
        return OperatingPoint(
            float(threshold),
            _share(named & self.right, self.known),
            _share(named & ~self.right, self.known),
            _share(named, ~self.known),
        )

    def at_false_accepts(self, most: float) -> OperatingPoint:
        """Return the operating point with the lowest threshold that names at most this share of unknown objects."""
        unknown = np.sort(self.scores[~self.known])[::-1]
        allowed = int(np.floor(most * len(unknown) + 1e-9))
        if allowed >= len(unknown):
            return self.at(float(self.scores.min()) if len(self.scores) else 0.0)
        above = self.scores[self.scores > unknown[allowed]]
        return self.at(float(above.min()) if len(above) else float(np.nextafter(unknown[allowed], np.inf)))

    def curve(self) -> tuple[OperatingPoint, ...]:
        """Return the operating points of all scores, thinned to 200, from the strictest on."""
        thresholds = np.unique(self.scores)[::-1]
        if len(thresholds) > _MOST_POINTS:
            thresholds = thresholds[np.linspace(0, len(thresholds) - 1, _MOST_POINTS).round().astype(int)]
        return tuple(self.at(float(threshold)) for threshold in thresholds)


@dataclass(frozen=True, slots=True)
class PickLists:
    """The labels that answers leave possible, as shares in 0..1 at the threshold in use; NaN without such queries.

    Attributes:
        coverage: share of the named queries of enrolled products whose label is possible.
        mean_length: possible labels of these, on average.
        ambiguous: share of the queries of enrolled products with several possible labels, for a person to choose from.
    """

    coverage: float
    mean_length: float
    ambiguous: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly a threshold serves the labels: the named-right rate per enrolled label.

    A threshold that is right on average may never name some products (OPIS, arXiv 2307.04047).

    Attributes:
        labels: how many labels have queries.
        mean, deviation: of the rate over labels.
        worst: labels with the lowest rates, and these, worst first.
    """

    labels: int
    mean: float
    deviation: float
    worst: tuple[tuple[str, float], ...]


def spread(answers: Answers, labels: NDArray[np.str_], threshold: float, worst: int = 10) -> Spread:
    """Return the spread of right names over the labels (Q,) of the queries."""
    named = (answers.scores >= threshold) & answers.right
    names, places = np.unique(labels[answers.known], return_inverse=True)
    rates = np.bincount(places, named[answers.known], len(names)) / np.maximum(1, np.bincount(places, None, len(names)))
    order = np.argsort(rates, kind="stable")[:worst]
    return Spread(
        len(names),
        float(rates.mean()) if len(names) else float("nan"),
        float(rates.std()) if len(names) else float("nan"),
        tuple((str(names[place]), float(rates[place])) for place in order),
    )


def pick_lists(scores: Floats, listed: NDArray[np.int64], own_listed: Flags, threshold: float) -> PickLists:
    """Return what the pick-lists of queries (Q,) of enrolled products are like at a threshold.

    Args:
        scores: of the nearest label.
        listed: labels that are possible if the query is named.
        own_listed: the query's own label is among them.
        threshold: from which a query is named.
    """
    named = scores >= threshold
    lengths = listed[named]
    return PickLists(
        _share(own_listed, named),
        float(lengths.mean()) if len(lengths) else float("nan"),
        _share(named & (listed > 1), np.ones(len(scores), bool)),
    )


def _share(what: Flags, of: Flags) -> float:
    return float(what[of].mean()) if of.any() else float("nan")
