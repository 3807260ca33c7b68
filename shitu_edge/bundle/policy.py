"""How neighbors become decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import OptionError
from ..ranges import require_flag, require_number, require_one_of, require_whole

WholeImage = Literal["always", "fallback", "never"]

_LEAST_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class Target:
    """Goal of a calibrated threshold: one of two shares.

    Attributes:
        max_false_accept: largest share of unknown objects that get a name, between 0 and 1.
        max_wrong: largest share of all objects that get a wrong name, between 0 and 1: unknown objects with any name,
            and enrolled products with that of another.
        unknown_share: share of the objects that are not enrolled, 0..1, for `max_wrong` and for probabilities.
        confidence: that it is kept, between 0 and 1; None for a best estimate.
    """

    max_false_accept: float | None = None
    max_wrong: float | None = None
    unknown_share: float = 0.1
    confidence: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges; raises `OptionError`."""
        require_shares(self.max_false_accept, self.max_wrong, self.unknown_share, self.confidence)
        if (self.max_false_accept is None) == (self.max_wrong is None):
            raise OptionError("expected either max_false_accept or max_wrong")

    @property
    def rate(self) -> float:
        """The stated share."""
        share = self.max_wrong if self.max_false_accept is None else self.max_false_accept
        assert share is not None
        return share


@dataclass(frozen=True, slots=True)
class DecisionPolicy:
    """How neighbors become decisions; the defaults are PP-ShiTu's (`deploy/configs/inference_general.yaml`).

    Attributes:
        similarity_threshold: least cosine of a match, if no threshold is derived from the gallery.
        margin: required lead over the runner-up label; below it the decision is `ambiguous` (0: never, unless the
            threshold is a calibrated one, see `Target`).
        neighbors: number of gallery items compared.
        vote: decide by each label's summed similarity over the neighbors above the threshold, not by the best neighbor.
        suppression_iou: IoU with a better item's box above which an item is dropped.
        whole_image: recognize the whole image too: `always`, as a `fallback` if nothing was detected, or `never`.
        max_false_accept, max_wrong, unknown_share, confidence: see `Target`; the threshold is then derived from the
            gallery (`Calibration`). Without a share, `similarity_threshold` decides.
    """

    similarity_threshold: float = 0.5
    margin: float = 0.0
    neighbors: int = 5
    vote: bool = False
    suppression_iou: float = 0.05
    whole_image: WholeImage = "always"
    max_false_accept: float | None = None
    max_wrong: float | None = None
    unknown_share: float = 0.1
    confidence: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges; raises `OptionError`."""
        require_number("similarity_threshold", self.similarity_threshold, -1, 1)
        require_number("margin", self.margin, 0, 2)
        require_whole("neighbors", self.neighbors, 1)
        require_flag("vote", self.vote)
        require_number("suppression_iou", self.suppression_iou, 0, 1)
        require_one_of("whole_image", self.whole_image, get_args(WholeImage))
        require_shares(self.max_false_accept, self.max_wrong, self.unknown_share, self.confidence)
        if self.max_false_accept is not None and self.max_wrong is not None:
            raise OptionError("expected either max_false_accept or max_wrong")

    @property
    def target(self) -> Target | None:
        """The goal of the threshold, None if it is not derived from the gallery."""
        if self.max_false_accept is None and self.max_wrong is None:
            return None
        return Target(self.max_false_accept, self.max_wrong, self.unknown_share, self.confidence)


def require_shares(
    max_false_accept: float | None, max_wrong: float | None, unknown_share: float, confidence: float | None
) -> None:
    """Check the shares of a target; raises `OptionError`."""
    given = {"max_false_accept": max_false_accept, "max_wrong": max_wrong, "confidence": confidence}
    for name, share in given.items():
        if share is not None:
            require_number(name, share, _LEAST_SHARE, 1 - _LEAST_SHARE)
    require_number("unknown_share", unknown_share, 0, 1)
