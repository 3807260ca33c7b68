"""Which objects a second look is taken at, and what the answer says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shitu_edge import NEGATIVE, DecisionPolicy, Match
from shitu_edge.calibration import BY_SIMILARITY, Naming
from shitu_edge.results import Evidence, RecognizedItem
from shitu_edge.stages.decide import Candidate, decide, is_doubtful
from tests.answers import answer

BY_SCORE = Naming(0.5)
GROUP = frozenset({"tea", "iced tea"})
ALIKE = Naming(0.5, None, {"tea": GROUP, "iced tea": GROUP})
CLEAR = (("tea", 0.9), ("milk", 0.5))
CLOSE = (("tea", 0.9), ("iced tea", 0.89), ("milk", 0.5))
THREE = (("tea", 0.9), ("iced tea", 0.89), ("milk", 0.89))
FAR = (("tea", 0.3), ("milk", 0.1))


def matches(*found: tuple[str, float]) -> tuple[Match, ...]:
    return tuple(Match(place, label, similarity) for place, (label, similarity) in enumerate(found, 1))


@pytest.mark.parametrize(
    ("found", "naming", "in_doubt", "if_always"),
    [
        (CLEAR, BY_SCORE, False, True),
        (CLOSE, BY_SCORE, True, True),
        (FAR, BY_SCORE, True, True),
        ((), BY_SCORE, False, False),
        (((NEGATIVE, 0.9), *CLEAR), BY_SCORE, False, False),
        (((NEGATIVE, 0.3), *FAR), BY_SCORE, True, True),
        ((("tea", 0.9), (NEGATIVE, 0.89)), BY_SCORE, False, True),
        (CLEAR, ALIKE, False, False),
        (CLOSE, ALIKE, False, False),
        (THREE, ALIKE, True, True),
        (FAR, ALIKE, True, True),
        ((("milk", 0.9), ("tea", 0.5)), ALIKE, False, True),
        (CLEAR, BY_SIMILARITY, False, True),
    ],
    ids=str,
)
def test_doubtful_is_what_has_no_label_or_several(
    found: tuple[tuple[str, float], ...], naming: Naming, in_doubt: bool, if_always: bool
) -> None:
    policy = DecisionPolicy()
    assert is_doubtful(matches(*found), policy, naming) is in_doubt
    assert is_doubtful(matches(*found), policy, naming, always=True) is if_always


def test_doubtful_follows_the_margin_of_the_policy() -> None:
    found = matches(("tea", 0.9), ("milk", 0.7))
    assert not is_doubtful(found, DecisionPolicy(), BY_SCORE)
    assert is_doubtful(found, DecisionPolicy(margin=0.3), BY_SCORE)


def decided(*found: Match, naming: Naming = BY_SCORE, looked: bool = True) -> RecognizedItem:
    def evidence(item: int) -> Evidence:
        inliers = next(match.inliers for match in found if match.item_id == item)
        return Evidence(item, *np.zeros((2, inliers, 2), np.float32))

    candidate = Candidate((0, 0, 90, 90), 0.9, found, evidence if looked else None)
    (item,), _ = decide([candidate], DecisionPolicy(), naming=naming)
    return item


def test_points_name_what_the_similarity_leaves_in_doubt() -> None:
    item = decided(Match(2, "iced tea", 0.8, 60), Match(1, "tea", 0.81, 3), Match(3, "milk", 0.5))
    assert (item.decision, item.label, item.similarity, item.inliers) == ("accepted", "iced tea", 0.8, 60)
    assert item.verified_by == "local_features"
    assert item.evidence is not None
    assert item.evidence.item_id == 2
    assert [(one.label, one.inliers) for one in item.candidates] == [("iced tea", 60), ("tea", 3), ("milk", 0)]
    assert item.score is not None
    assert item.score > 0.9


def test_unknown_object_has_the_evidence_of_what_it_resembles_most() -> None:
    item = decided(Match(2, "tea", 0.1, 7), Match(1, "milk", 0.15, 2))
    assert (item.decision, item.label, item.inliers) == ("unknown", None, 7)
    assert item.evidence is not None
    assert item.evidence.item_id == 2


def test_item_without_agreeing_points_has_no_evidence() -> None:
    item = decided(Match(2, "tea", 0.8), Match(1, "milk", 0.7))
    assert (item.verified_by, item.inliers, item.evidence) == ("local_features", 0, None)
    item = decided(Match(2, "tea", 0.8), looked=False)
    assert (item.verified_by, item.inliers, item.evidence) == (None, 0, None)
    item = decided()
    assert (item.decision, item.inliers, item.evidence) == ("unknown", 0, None)


def said(item: RecognizedItem) -> list[str]:
    lines = replace(answer(100, 100, item), threshold=0.5).explain()
    return [line.strip() for line in lines if line.startswith("   second look:")]


def test_object_whose_points_agree_with_a_negative_item_is_unknown() -> None:
    item = decided(Match(2, NEGATIVE, 0.4, 80), Match(1, "tea", 0.6, 6))
    assert (item.decision, item.label, item.negative, item.inliers) == ("unknown", None, True, 80)
    assert item.evidence is not None
    assert item.evidence.item_id == 2
    assert said(item) == ["second look: 80 points agree with the photo of an item that is not a product"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            (Match(2, NEGATIVE, 0.1, 7), Match(1, "milk", 0.15)),
            "second look: 7 points agree with the photo of an item that is not a product",
        ),
        ((Match(2, "tea", 0.8, 1),), "second look: 1 point agrees with the photo of tea"),
        ((Match(2, "tea", 0.8, 60),), "second look: 60 points agree with the photo of tea"),
        ((Match(2, "tea", 0.1, 7), Match(1, "milk", 0.15)), "second look: 7 points agree with the photo of tea"),
        ((Match(2, "tea", 0.8), Match(1, "milk", 0.5)), "second look: no photo agrees"),
    ],
)
def test_explanation_says_what_agrees(found: tuple[Match, ...], expected: str) -> None:
    assert said(decided(*found)) == [expected]
