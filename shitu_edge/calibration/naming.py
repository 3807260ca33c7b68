"""The part of a calibration that decides on names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .probability import Probability


@dataclass(frozen=True, slots=True)
class Naming:
    """How objects get their names.

    Attributes:
        least_score: score from which an object gets a label; None: the policy's similarity threshold decides.
        probability: that an object is enrolled, by its score; None if the gallery does not support one.
        look_alikes: per label of a group that images cannot tell apart, all labels of the group: always asked about.
        looked: the score is one after a second look.
    """

    least_score: float | None = None
    probability: Probability | None = None
    look_alikes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    looked: bool = False


BY_SIMILARITY = Naming()
"""Of a gallery that is not calibrated and has no confirmed look-alikes."""
