"""Decisions worked by hand, and PaddleClas' rule written out plainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.bundle import DecisionPolicy
from shitu_edge.results import SIMILARITY_ROUNDING, Box, Match, RecognizedItem
from shitu_edge.stages.decide import Candidate, decide

A, B, C = (0.0, 0.0, 10.0, 10.0), (100.0, 0.0, 110.0, 10.0), (200.0, 0.0, 210.0, 10.0)
"""Three boxes apart from each other."""
WHOLE = (0.0, 0.0, 640.0, 480.0)
REFERENCE = DecisionPolicy()


def candidate(box: Box, score: float | None, *neighbors: tuple[str, float]) -> Candidate:
    matches = tuple(Match(number, label, similarity) for number, (label, similarity) in enumerate(neighbors))
    return Candidate(box, score, matches)


def only_item(policy: DecisionPolicy, *neighbors: tuple[str, float]) -> RecognizedItem:
    (item,), dropped = decide([candidate(A, 0.9, *neighbors)], policy)
    assert not dropped
    return item


def named(items: Sequence[RecognizedItem]) -> list[tuple[str | None, str]]:
    return [(item.label, item.decision) for item in items]


def test_nothing() -> None:
    assert decide([], REFERENCE) == ((), ())


def test_the_best_match_names_a_thing() -> None:
    asked = candidate(A, 0.75, ("tea", 0.8), ("coffee", 0.7), ("tea", 0.2))
    items, dropped = decide([asked], REFERENCE)
    assert [replace(item, candidates=()) for item in items] == [
        RecognizedItem(A, "accepted", "tea", 0.8, 0.75, asked.matches)
    ]
    assert dropped == ()


def test_the_threshold_counts() -> None:
    assert only_item(REFERENCE, ("tea", 0.5)).decision == "accepted"
    below = only_item(REFERENCE, ("tea", np.nextafter(0.5, 0).item()))
    assert (below.decision, below.label) == ("unknown", None)
    assert below.similarity == pytest.approx(0.5), "how near it came is told"
    assert below.matches[0].label == "tea"


def test_threshold_of_1_counts_copies_in_spite_of_rounding() -> None:
    policy = DecisionPolicy(similarity_threshold=1.0)
    assert only_item(policy, ("tea", 1 - SIMILARITY_ROUNDING / 2)).decision == "accepted"
    assert only_item(policy, ("tea", 1 - 2 * SIMILARITY_ROUNDING)).decision == "unknown"


def test_an_empty_gallery_knows_nothing() -> None:
    item = only_item(REFERENCE)
    assert (item.decision, item.label, item.similarity, item.matches) == ("unknown", None, None, ())


def test_the_whole_image_is_an_item_only_when_known() -> None:
    known = candidate(WHOLE, None, ("tea", 0.6))
    items, dropped = decide([known], REFERENCE)
    assert [replace(item, candidates=()) for item in items] == [
        RecognizedItem(WHOLE, "accepted", "tea", 0.6, None, known.matches)
    ]
    assert not dropped


def test_a_whole_image_of_one_color_is_not_named_and_suppresses_nothing() -> None:
    blank = candidate(WHOLE, None, ("tea", 1.0))
    detected = candidate(WHOLE, 0.9, ("coffee", 0.7))
    items, dropped = decide([detected, blank], REFERENCE, lambda: False)
    assert named(items) == [("coffee", "accepted")]
    assert [(box.reason, box.label, box.similarity) for box in dropped] == [("no_texture", "tea", 1.0)]
    _, dropped = decide([replace(blank, matches=())], REFERENCE, lambda: False)
    assert [box.reason for box in dropped] == ["below_threshold"]


def test_texture_is_looked_at_only_for_a_whole_image_that_would_get_a_name() -> None:
    def look() -> bool:
        raise AssertionError("looked")

    far, near = ("tea", 0.4), ("tea", 0.6)
    decide([candidate(A, 0.9, near), candidate(WHOLE, None, far)], REFERENCE, look)
    with pytest.raises(AssertionError, match="looked"):
        decide([candidate(A, 0.9, near), candidate(WHOLE, None, near)], REFERENCE, look)


@pytest.mark.parametrize(("neighbors", "similarity"), [([("tea", 0.4)], 0.4), ([], None)])
def test_the_whole_image_below_the_threshold_is_dropped(
    neighbors: list[tuple[str, float]], similarity: float | None
) -> None:
    items, (dropped,) = decide([candidate(WHOLE, None, *neighbors)], REFERENCE)
    assert not items
    assert (dropped.box_xyxy, dropped.reason, dropped.label) == (WHOLE, "below_threshold", None)
    assert (dropped.similarity, dropped.detection_score) == (similarity, None)


def test_a_dropped_whole_image_suppresses_nothing() -> None:
    items, dropped = decide([candidate(WHOLE, None), candidate(A, 0.3)], REFERENCE)
    assert [item.box_xyxy for item in items] == [A]
    assert [drop.reason for drop in dropped] == ["below_threshold"]


def test_suppression_goes_by_similarity_not_by_detection_score() -> None:
    sure_box = candidate((0, 0, 10, 10), 0.99, ("tea", 0.6))
    sure_name = candidate((0, 0, 10, 9), 0.3, ("coffee", 0.9))
    items, (dropped,) = decide([sure_box, sure_name], REFERENCE)
    assert named(items) == [("coffee", "accepted")]
    assert (dropped.reason, dropped.label, dropped.similarity) == ("suppressed", "tea", 0.6)
    assert (dropped.box_xyxy, dropped.detection_score) == ((0, 0, 10, 10), 0.99)


def test_suppression_does_not_ask_for_the_label() -> None:
    items, _ = decide([candidate(A, 0.9, ("tea", 0.6)), candidate(A, 0.9, ("tea", 0.7))], REFERENCE)
    assert [item.similarity for item in items] == [0.7]


def test_areas_count_whole_pixels() -> None:
    """Boxes of 10 × 10 pixels with coordinates 0..9 that share a column of 10 pixels: 10 of 190, above 0.05."""
    left, right = (0.0, 0.0, 9.0, 9.0), (9.0, 0.0, 18.0, 9.0)
    pair = [candidate(left, 0.9, ("tea", 0.9)), candidate(right, 0.9, ("tea", 0.8))]
    items, (dropped,) = decide(pair, REFERENCE)
    assert [item.box_xyxy for item in items] == [left]
    assert dropped.reason == "suppressed"
    apart = candidate((10, 0, 19, 9), 0.9, ("tea", 0.8))
    assert len(decide([pair[0], apart], REFERENCE)[0]) == 2


def test_overlap_at_the_threshold_is_kept() -> None:
    """1 × 20 and 1 × 1 pixels inside it: exactly 1 of 20, which is the rule's 0.05."""
    pair = [candidate((0, 0, 19, 0), 0.9, ("tea", 0.9)), candidate((4, 0, 4, 0), 0.9, ("coffee", 0.8))]
    assert len(decide(pair, REFERENCE)[0]) == 2
    assert len(decide(pair, replace(REFERENCE, suppression_iou=0.0499))[0]) == 1


def test_a_suppressed_thing_suppresses_nothing() -> None:
    chain = [
        candidate((0, 0, 10, 10), 0.9, ("tea", 0.9)),
        candidate((8, 0, 18, 10), 0.9, ("tea", 0.8)),
        candidate((16, 0, 26, 10), 0.9, ("tea", 0.7)),
    ]
    items, dropped = decide(chain, REFERENCE)
    assert [item.similarity for item in items] == [0.9, 0.7]
    assert [drop.similarity for drop in dropped] == [0.8]


def test_the_whole_image_suppresses_small_things_only_by_iou() -> None:
    """A thing of a hundredth of the image stays beside the surer whole image, one of a tenth does not."""
    whole = candidate((0, 0, 99, 99), None, ("tea", 0.9))
    small, large = candidate((0, 0, 9, 9), 0.9, ("tea", 0.8)), candidate((50, 50, 99, 69), 0.9, ("tea", 0.8))
    items, dropped = decide([whole, small, large], REFERENCE)
    assert [item.box_xyxy for item in items] == [whole.box_xyxy, small.box_xyxy]
    assert [drop.box_xyxy for drop in dropped] == [large.box_xyxy]


def test_order_of_items() -> None:
    """Known things by similarity, then unknown ones by detection score, whatever order they come in."""
    boxes: list[Box] = [(100.0 * i, 0.0, 100.0 * i + 10, 10.0) for i in range(5)]
    items, _ = decide(
        [
            candidate(boxes[0], 0.4, ("tea", 0.1)),
            candidate(boxes[1], 0.3, ("tea", 0.6)),
            candidate(boxes[2], 0.8),
            candidate(boxes[3], None, ("tea", 0.9)),
            candidate(boxes[4], 0.9, ("tea", 0.7)),
        ],
        REFERENCE,
    )
    assert [boxes.index(item.box_xyxy) for item in items] == [3, 4, 1, 2, 0]


def test_equals_stay_in_the_order_given() -> None:
    items, _ = decide([candidate(box, 0.5, ("tea", 0.75)) for box in (B, A, C)], REFERENCE)
    assert [item.box_xyxy for item in items] == [B, A, C]


def test_a_known_thing_suppresses_a_surer_detected_unknown_one() -> None:
    known, unknown = candidate(A, 0.2, ("tea", 0.5)), candidate(A, 0.99, ("tea", 0.49))
    items, (dropped,) = decide([unknown, known], REFERENCE)
    assert named(items) == [("tea", "accepted")]
    assert (dropped.reason, dropped.label, dropped.similarity) == ("suppressed", None, 0.49)


def test_unknown_things_suppress_each_other() -> None:
    items, dropped = decide([candidate(A, 0.4), candidate(A, 0.6), candidate(B, 0.5)], REFERENCE)
    assert [item.detection_score for item in items] == [0.6, 0.5]
    assert [drop.detection_score for drop in dropped] == [0.4]


@pytest.mark.parametrize(
    ("margin", "decision"), [(0.0, "accepted"), (0.125, "accepted"), (0.25, "accepted"), (0.26, "ambiguous")]
)
def test_margin_over_the_best_other_label(margin: float, decision: str) -> None:
    """A lead of exactly 0.25; the second tea between is no rival."""
    policy = replace(REFERENCE, margin=margin)
    item = only_item(policy, ("tea", 0.875), ("tea", 0.75), ("coffee", 0.625), ("milk", 0.5))
    assert (item.decision, item.label, item.similarity) == (decision, "tea", 0.875)


def test_a_rival_below_the_threshold_counts_for_the_margin() -> None:
    policy = DecisionPolicy(similarity_threshold=0.5, margin=0.1)
    assert only_item(policy, ("tea", 0.52), ("coffee", 0.48)).decision == "ambiguous"


def test_a_single_label_is_never_ambiguous() -> None:
    assert only_item(replace(REFERENCE, margin=0.9), ("tea", 0.5), ("tea", 0.5)).decision == "accepted"


def test_without_margin_equals_are_accepted() -> None:
    assert only_item(REFERENCE, ("tea", 0.7), ("coffee", 0.7)).decision == "accepted"


def test_an_ambiguous_whole_image_stands() -> None:
    items, dropped = decide([candidate(WHOLE, None, ("tea", 0.7), ("coffee", 0.7))], replace(REFERENCE, margin=0.1))
    assert named(items) == [("tea", "ambiguous")]
    assert not dropped


VOTES = (("tea", 0.9), ("coffee", 0.8), ("coffee", 0.7), ("tea", 0.4))


def test_vote_sums_similarities_above_the_threshold() -> None:
    """Coffee 0.8 + 0.7 against tea 0.9; tea's 0.4 is below the threshold and has no vote."""
    assert only_item(REFERENCE, *VOTES).label == "tea"
    item = only_item(replace(REFERENCE, vote=True), *VOTES)
    assert (item.label, item.similarity, item.decision) == ("coffee", 0.8, "accepted")
    assert only_item(DecisionPolicy(vote=True, similarity_threshold=0.3), *VOTES[:2], VOTES[3]).label == "tea"


def test_a_vote_won_against_the_best_match_is_ambiguous_with_a_margin() -> None:
    item = only_item(DecisionPolicy(vote=True, margin=0.01), *VOTES)
    assert (item.label, item.decision) == ("coffee", "ambiguous")


def test_a_tied_vote_goes_to_the_best_match() -> None:
    item = only_item(DecisionPolicy(vote=True), ("tea", 0.75), ("coffee", 0.75))
    assert item.label == "tea"


def test_a_vote_without_voters_is_unknown() -> None:
    item = only_item(DecisionPolicy(vote=True), ("tea", 0.49), ("tea", 0.48))
    assert (item.decision, item.label, item.similarity) == ("unknown", None, 0.49)


@dataclass(frozen=True)
class PaddleResult:
    """One of PaddleClas' recognized things."""

    box: Box
    score: float
    label: str


def paddle(candidates: Sequence[Candidate], threshold: float, iou_threshold: float) -> list[PaddleResult]:
    """`SystemPredictor.predict` and `nms_to_rec_results` of `deploy/python/predict_system.py`, in plain Python."""
    results = [
        PaddleResult(asked.box_xyxy, asked.matches[0].similarity, asked.matches[0].label)
        for asked in candidates
        if asked.matches and asked.matches[0].similarity >= threshold
    ]
    order = sorted(range(len(results)), key=lambda i: -results[i].score)
    kept = []
    while order:
        best, *rest = order
        kept.append(results[best])
        order = [i for i in rest if whole_pixel_iou(results[best].box, results[i].box) <= iou_threshold]
    return kept


def whole_pixel_iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


boxes = st.builds(
    lambda x, y, width, height: (float(x), float(y), float(x + width), float(y + height)),
    *[st.integers(0, 40)] * 2,
    *[st.integers(0, 30)] * 2,
)
similarities = st.integers(-20, 20).map(lambda step: step / 20)
neighbors = st.lists(st.tuples(st.sampled_from(["tea", "coffee", "milk"]), similarities), max_size=5).map(
    lambda found: sorted(found, key=lambda match: -match[1])
)
candidates = st.lists(
    st.builds(
        lambda box, score, found: candidate(box, score, *found),
        boxes,
        st.none() | st.integers(0, 100).map(lambda step: step / 100),
        neighbors,
    ),
    max_size=8,
)
IOUS = [0.0503, 0.3001, 0.7001]
"""Between the ratios of such small areas, so that rounding decides nothing."""


@settings(max_examples=200, deadline=None, derandomize=True)
@given(candidates, st.sampled_from(IOUS))
def test_known_items_are_those_of_paddleclas(asked: list[Candidate], iou: float) -> None:
    items, _ = decide(asked, replace(REFERENCE, suppression_iou=iou))
    known = [PaddleResult(i.box_xyxy, i.similarity or 0, i.label or "") for i in items if i.decision == "accepted"]
    assert known == paddle(asked, REFERENCE.similarity_threshold, iou)


rules = st.builds(
    DecisionPolicy,
    similarity_threshold=similarities,
    margin=st.sampled_from([0.0, 0.1, 0.5]),
    vote=st.booleans(),
    suppression_iou=st.sampled_from([0.0, *IOUS, 1.0]),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(candidates, rules)
def test_every_candidate_is_an_item_or_dropped(asked: list[Candidate], policy: DecisionPolicy) -> None:
    items, dropped = decide(asked, policy)
    given_boxes = sorted((each.box_xyxy, each.detection_score or -1) for each in asked)
    found = [(item.box_xyxy, item.detection_score or -1) for item in items]
    found += [(drop.box_xyxy, drop.detection_score or -1) for drop in dropped]
    assert sorted(found) == given_boxes
    for number, item in enumerate(items):
        assert (item.decision == "unknown") == (item.label is None)
        assert item.label is None or item.label in {match.label for match in item.matches}
        assert policy.margin > 0 or item.decision != "ambiguous"
        assert all(whole_pixel_iou(item.box_xyxy, other.box_xyxy) <= policy.suppression_iou for other in items[:number])
    for drop in dropped:
        if drop.reason == "suppressed":
            assert any(whole_pixel_iou(drop.box_xyxy, item.box_xyxy) > policy.suppression_iou for item in items)
        else:
            assert drop.reason == "below_threshold"
            assert drop.detection_score is None
            assert drop.similarity is None or drop.similarity < policy.similarity_threshold
