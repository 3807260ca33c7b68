"""Items that are not products: what resembles one most is unknown, with the reason."""

from __future__ import annotations

import pytest

from shitu_edge import NEGATIVE, DecisionPolicy, Match
from shitu_edge.calibration import Naming, score_of
from shitu_edge.results import Box
from shitu_edge.stages.decide import Candidate, decide

BOX: Box = (0, 0, 90, 90)
TEA, HAND = Match(1, "tea", 0.7), Match(2, NEGATIVE, 0.8)


@pytest.mark.parametrize("least_score", [None, -1.0])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_nearest_negative_item_makes_the_object_unknown(least_score: float | None, margin: float) -> None:
    (item,), dropped = decide(
        [Candidate(BOX, 0.9, (HAND, TEA))], DecisionPolicy(margin=margin), naming=Naming(least_score)
    )
    assert not dropped
    assert (item.decision, item.label, item.negative, item.similarity) == ("unknown", None, True, 0.8)
    assert [candidate.label for candidate in item.candidates] == ["tea"], "nobody chooses what is not a product"


def test_nearer_product_is_named_and_the_negative_item_competes() -> None:
    matches = (Match(1, "tea", 0.8), Match(2, NEGATIVE, 0.7))
    (item,), _ = decide([Candidate(BOX, 0.9, matches)], DecisionPolicy(), naming=Naming(0.5))
    assert (item.label, item.negative) == ("tea", False)
    assert item.score == score_of(matches) < 0.8


def test_far_negative_item_is_just_unknown() -> None:
    (item,), _ = decide([Candidate(BOX, 0.9, (Match(2, NEGATIVE, 0.3),))], DecisionPolicy())
    assert (item.decision, item.negative) == ("unknown", False)


def test_whole_image_like_a_negative_item_is_dropped_with_the_reason() -> None:
    items, (dropped,) = decide([Candidate(BOX, None, (HAND, TEA))], DecisionPolicy())
    assert not items
    assert dropped.reason == "negative"


def test_candidates_are_labels_with_their_nearest_item() -> None:
    matches = (Match(1, "tea", 0.8), Match(2, "tea", 0.78), Match(3, "milk", 0.7), Match(4, "cola", 0.6))
    (item,), _ = decide([Candidate(BOX, 0.9, matches)], DecisionPolicy())
    assert [(one.label, one.item_id, one.similarity) for one in item.candidates] == [
        ("tea", 1, 0.8),
        ("milk", 3, 0.7),
        ("cola", 4, 0.6),
    ]
    # exp(0) : exp(-2) : exp(-4)
    assert [one.share for one in item.candidates] == pytest.approx([0.8668, 0.1173, 0.0159], abs=1e-4)


def test_candidates_are_five_at_most_and_their_shares_are_of_all() -> None:
    matches = tuple(Match(number, str(number), 0.8) for number in range(10))
    (item,), _ = decide([Candidate(BOX, 0.9, matches)], DecisionPolicy(neighbors=10))
    assert len(item.candidates) == 5
    assert sum(one.share for one in item.candidates) == pytest.approx(0.5)


def test_vote_is_among_labels_that_reach_the_calibrated_score() -> None:
    matches = (Match(1, "tea", 0.9), Match(2, "milk", 0.5), Match(3, "milk", 0.5))
    (item,), _ = decide([Candidate(BOX, 0.9, matches)], DecisionPolicy(vote=True), naming=Naming(0.7))
    assert (item.label, item.similarity) == ("tea", 0.9)
    (item,), _ = decide([Candidate(BOX, 0.9, matches)], DecisionPolicy(vote=True), naming=Naming(-2.0))
    assert item.label == "milk", "where both would do, the two together are more"


def test_least_score_is_reached_exactly() -> None:
    matches = (Match(1, "tea", 0.9), Match(2, "milk", 0.7))
    score = score_of(matches)
    for least, decision in ((score, "accepted"), (score + 1e-6, "unknown")):
        (item,), _ = decide([Candidate(BOX, 0.9, matches)], DecisionPolicy(), naming=Naming(least))
        assert item.decision == decision
