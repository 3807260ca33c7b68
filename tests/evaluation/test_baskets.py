"""Basket metrics worked by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from shitu_edge.evaluation.baskets import compare_baskets


def test_baskets_worked_by_hand() -> None:
    found = compare_baskets(
        [
            (Counter(tea=2, milk=1), Counter(tea=2, milk=1)),  # right
            (Counter(tea=1), Counter(tea=2, milk=1)),  # 2 missing
            (Counter(tea=1, cola=1), Counter(tea=1)),  # 1 too many, of a label that is never shown
        ]
    )
    assert found.images == 3
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.count_error == pytest.approx((0 + 2 + 1) / 3)
    assert found.count_error_per_label == pytest.approx((1 / 5 + 1 / 2) / 2)  # tea 1 of 5 off, milk 1 of 2
    assert found.count_overlap == pytest.approx((4 / 5 + 1 / 2) / 2)


def test_swapped_labels_are_two_errors_though_the_count_is_right() -> None:
    found = compare_baskets([(Counter(tea=1), Counter(milk=1))])
    assert (found.accuracy, found.count_error) == (0, 2)


def test_empty_counters_are_right_and_no_images_are_no_figure() -> None:
    assert compare_baskets([(Counter(), Counter())]).accuracy == 1
    assert math.isnan(compare_baskets([]).accuracy)
