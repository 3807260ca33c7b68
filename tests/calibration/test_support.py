"""How points in common raise a similarity, and the order of what they raise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.calibration.score import score_of
from shitu_edge.calibration.support import judged, supported
from shitu_edge.gallery.labels import NEGATIVE
from shitu_edge.results import LEAST_INLIERS, LabelCandidate, Match, support

similarities = st.floats(-1, 1)


def test_support_by_hand() -> None:
    """21 points are 16 more than mean nothing: 0.4 lacks 0.6, of which 63 % are taken away."""
    assert support(0.4, 21) == pytest.approx(1 - 0.6 / math.e)
    assert support(-1.0, 37) == pytest.approx(1 - 2 / math.e**2)
    assert (
        Match(1, "tea", 0.4, 21).support == LabelCandidate("tea", 1, 0.4, 0.5, inliers=21).support == support(0.4, 21)
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(similarities, similarities, st.integers(0, 400), st.integers(0, 400))
def test_support_rises_with_both_and_stays_below_1(one: float, other: float, few: int, more: int) -> None:
    low, high = sorted((one, other))
    few, more = sorted((few, more))
    assert low <= support(low, few) <= support(high, more) <= 1
    assert support(low, more) < 1 or low > 1 - 1e-9
    assert support(one, min(few, LEAST_INLIERS)) == one, "few points mean nothing"
    if more > max(few, LEAST_INLIERS) and low < 0.99 and more < 300:
        assert support(low, more) > support(low, few)


def match(item: int, similarity: float, label: str | None = None) -> Match:
    return Match(item, label or f"product {item}", similarity)


NEAR = (match(1, 0.9), match(2, 0.8), match(3, 0.5), match(4, 0.5))


def test_supported_without_points_changes_nothing() -> None:
    assert supported(NEAR, lambda item: 0) == NEAR
    assert supported((), lambda item: 99) == ()
    assert score_of(supported(NEAR, lambda item: 5)) == score_of(NEAR)


def test_supported_items_come_first_and_equals_as_before() -> None:
    found = supported(NEAR, lambda item: {3: 60, 2: 6}.get(item, 0))
    assert [one.item_id for one in found] == [3, 1, 2, 4]
    assert [one.inliers for one in found] == [60, 0, 6, 0]
    assert [one.similarity for one in found] == [0.5, 0.9, 0.8, 0.5], "similarities stay what they are"
    assert [*found] == sorted(found, key=lambda one: -one.support)


def test_turned_matches_count_only_if_they_agree() -> None:
    turned = (match(5, 0.95), match(6, 0.7), match(3, 0.85), match(1, 0.2), match(6, 0.6), match(2, 0.81))
    found = supported(NEAR, lambda item: {6: 30, 3: 30, 1: 30, 2: LEAST_INLIERS}.get(item, 0), turned)
    assert {one.item_id: one.similarity for one in found} == {1: 0.9, 2: 0.8, 3: 0.85, 4: 0.5, 6: 0.7}
    assert found[0].item_id == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 30), similarities), max_size=40),
    st.lists(st.tuples(st.integers(1, 40), similarities), max_size=30),
    st.integers(0, 1000),
)
def test_supported_holds_each_item_once_in_order(
    near: list[tuple[int, float]], turned: list[tuple[int, float]], seed: int
) -> None:
    near = list(dict(near).items())
    inliers = np.random.default_rng(seed).integers(0, 60, 41)
    found = supported([match(*one) for one in near], lambda item: int(inliers[item]), [match(*one) for one in turned])
    items = [one.item_id for one in found]
    assert len(set(items)) == len(items)
    assert set(dict(near)) <= set(items) <= set(dict(near)) | set(dict(turned))
    supports = [one.support for one in found]
    assert supports == sorted(supports, reverse=True)
    for one in found:
        seen = [similarity for item, similarity in [*near, *turned] if item == one.item_id]
        own = dict(near).get(one.item_id)
        assert one.similarity == (max(seen) if one.inliers > LEAST_INLIERS else own)


def test_look_that_lowers_the_score_takes_no_name_away() -> None:
    """A similarity near 1 cannot rise, and those of other products of the brand do."""
    first = (match(1, 1.0), match(2, 0.83), match(3, 0.82))
    lower = supported(first, lambda item: {1: 180, 2: 13, 3: 12}[item])
    assert score_of(lower) < score_of(first)
    assert judged(first, lower) == first
    clear = supported(first, lambda item: {2: 180}.get(item, 0))
    assert judged(first[1:], clear[:2]) == clear[:2]
    assert judged((), ()) == ()
    negative = (match(4, 0.2, NEGATIVE), *first)
    assert judged(first, negative) == negative, "what is not a product gets no name"
