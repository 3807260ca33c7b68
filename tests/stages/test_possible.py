"""Labels that are not ruled out: one, several, none."""

from __future__ import annotations

import numpy as np
import pytest

from shitu_edge import DecisionPolicy, Match
from shitu_edge.calibration import Naming, Probability
from shitu_edge.results import Box, RecognizedItem
from shitu_edge.stages.decide import Candidate, decide

BOX: Box = (0, 0, 90, 90)
BY_SCORE = Naming(0.1)
ALIKE = Naming(look_alikes={"tea": frozenset({"tea", "iced tea"}), "iced tea": frozenset({"tea", "iced tea"})})


def decided(
    *similarities: tuple[str, float], naming: Naming = BY_SCORE, policy: DecisionPolicy | None = None
) -> RecognizedItem:
    matches = tuple(Match(number, label, value) for number, (label, value) in enumerate(similarities, 1))
    (item,), _ = decide([Candidate(BOX, 0.9, matches)], policy or DecisionPolicy(), naming=naming)
    return item


def possible(item: RecognizedItem) -> list[str]:
    return [one.label for one in item.candidates if one.possible]


def test_clear_winner_is_accepted_alone() -> None:
    item = decided(("tea", 0.9), ("tea", 0.88), ("milk", 0.6))
    assert (item.decision, item.label, possible(item)) == ("accepted", "tea", ["tea"])
    assert [one.label for one in item.candidates] == ["tea", "milk"], "others are shown, but ruled out"


def test_close_labels_are_asked_about_the_likeliest_first() -> None:
    item = decided(("tea", 0.9), ("iced tea", 0.87), ("milk", 0.6))
    assert (item.decision, item.label) == ("ambiguous", "tea")
    assert possible(item) == ["tea", "iced tea"]


def test_object_below_the_score_has_no_possible_label() -> None:
    item = decided(("tea", 0.4), ("iced tea", 0.4), naming=Naming(0.5))
    assert (item.decision, item.label, possible(item)) == ("unknown", None, [])
    assert [one.label for one in item.candidates] == ["tea", "iced tea"]


def test_many_possible_labels_are_all_listed() -> None:
    item = decided(*((str(number), 0.9) for number in range(8)), naming=Naming(-1))
    assert item.decision == "ambiguous"
    assert len(possible(item)) == 8


def test_similarity_threshold_alone_asks_by_the_margin_only() -> None:
    close = (("tea", 0.9), ("milk", 0.89))
    assert decided(*close, naming=Naming()).decision == "accepted"
    item = decided(*close, naming=Naming(), policy=DecisionPolicy(margin=0.05))
    assert (item.decision, possible(item)) == ("ambiguous", ["tea", "milk"])


def test_look_alikes_are_always_asked_about() -> None:
    item = decided(("tea", 0.9), ("milk", 0.8), ("iced tea", 0.5), naming=ALIKE)
    assert (item.decision, possible(item)) == ("ambiguous", ["tea", "iced tea"])
    alone = decided(("tea", 0.9), ("milk", 0.5), naming=ALIKE)
    assert (alone.decision, possible(alone)) == ("ambiguous", ["tea"]), "also when the other is not near"
    assert decided(("milk", 0.9), ("tea", 0.5), naming=ALIKE).decision == "accepted"
    assert decided(("tea", 0.3), ("milk", 0.2), naming=ALIKE).decision == "unknown"


def test_vote_of_many_neighbors_may_choose_a_far_label() -> None:
    matches = [("tea", 0.9), *((f"product {number}", 0.8) for number in range(60)), *[("milk", 0.7)] * 40]
    item = decided(*matches, naming=Naming(-3), policy=DecisionPolicy(neighbors=101, vote=True))
    assert item.label == "milk"
    assert possible(item)[0] == "milk"


@pytest.mark.parametrize("sure", [True, False])
def test_probability_is_said_only_if_it_is_sure(sure: bool) -> None:
    probability = Probability(np.zeros(50), np.full(50, 4.0) if sure else np.linspace(-9, 9, 50))
    item = decided(("tea", 0.9), ("milk", 0.6), naming=Naming(0.1, probability))
    assert item.score is not None
    expected = item.candidates[0].share / (1 + np.exp(-4 * item.score))
    assert item.probability == (pytest.approx(expected) if sure else None)
    assert item.candidates[0].probability == item.probability
    if sure:
        assert sum(one.probability or 0 for one in item.candidates) < 1
