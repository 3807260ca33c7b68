"""Basket metrics: whether the whole list of products in an image is right, counts included.

From the retail product checkout dataset (RPC, Wei et al. 2019, arXiv 1901.07249).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Baskets:
    """Over all images; NaN if there are none.

    Attributes:
        images: how many.
        accuracy: share of images whose list is exactly right (cAcc).
        count_error: sum over labels of |found - true|, averaged over images (ACD).
        count_error_per_label: the same per label, relative to how many are shown, averaged over labels (mCCD).
        count_overlap: per label the sum of the smaller counts over that of the larger ones, averaged (mCIoU).
    """

    images: int
    accuracy: float
    count_error: float
    count_error_per_label: float
    count_overlap: float


def compare_baskets(baskets: Sequence[tuple[Counter[str], Counter[str]]]) -> Baskets:
    """Compare found and true counts per label, of each image.

    Labels that are found but never shown count in ACD and cAcc only, as the relative errors would be infinite.
    """
    nan = float("nan")
    if not baskets:
        return Baskets(0, nan, nan, nan, nan)
    errors = [sum((found - true).values()) + sum((true - found).values()) for found, true in baskets]
    shown = sorted({label for _, true in baskets for label in true})
    off = {label: sum(abs(found[label] - true[label]) for found, true in baskets) for label in shown}
    total = {label: sum(true[label] for _, true in baskets) for label in shown}
    smaller = {label: sum(min(found[label], true[label]) for found, true in baskets) for label in shown}
    larger = {label: sum(max(found[label], true[label]) for found, true in baskets) for label in shown}
    return Baskets(
        len(baskets),
        sum(error == 0 for error in errors) / len(baskets),
        sum(errors) / len(baskets),
        sum(off[label] / total[label] for label in shown) / len(shown) if shown else nan,
        sum(smaller[label] / larger[label] for label in shown) / len(shown) if shown else nan,
    )
