"""Leave-one-label-out against a plain loop, in parts of any size."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.calibration import chosen_queries, foreign_scores, label_score, random_claims, score_of
from shitu_edge.calibration.leave_out import LOWEST_SCORE, leave_out
from shitu_edge.results import Match
from tests.gallery.rows import Rows, clustered_rows


def by_loop(rows: Rows, labels: NDArray[np.int64], place: int) -> float:
    """Return the score of an item that asks all items of other labels."""
    others = np.flatnonzero(labels != labels[place])
    similarities = rows[others] @ rows[place]
    order = np.argsort(-similarities, kind="stable")[:50]
    matches = [
        Match(int(one), str(labels[one]), float(similarities[i])) for i, one in zip(order, others[order], strict=True)
    ]
    return score_of(matches) if matches else -1.0


@pytest.mark.parametrize("block", [7, 64, 4096])
@pytest.mark.parametrize("parts", [1, 3])
def test_scores_equal_a_plain_loop(monkeypatch: pytest.MonkeyPatch, block: int, parts: int) -> None:
    monkeypatch.setattr(sys.modules[leave_out.__module__], "_BLOCK", block)
    rows = clustered_rows(300, 16)
    labels = np.arange(300) // 6
    blocks = list(zip(np.array_split(rows, parts), np.array_split(labels, parts), strict=True))
    found = leave_out(rows, labels, lambda: blocks).unknown
    np.testing.assert_allclose(found.scores, [by_loop(rows, labels, place) for place in range(300)], atol=1e-5)
    assert found.count == 50


def test_one_label_alone_has_nothing_to_resemble() -> None:
    rows = clustered_rows(5, 16)
    assert leave_out(rows, np.zeros(5, int), lambda: [(rows, np.zeros(5, int))]).unknown.scores.tolist() == [-1.0] * 5


def test_chosen_queries_take_each_label_in_turn() -> None:
    labels = np.concatenate([np.zeros(900, int), np.arange(1, 101)])
    chosen = chosen_queries(labels, 150)
    assert len(set(chosen.tolist())) == 150
    assert set(labels[chosen].tolist()) == set(range(101))
    assert chosen.tolist() == chosen_queries(labels, 150).tolist(), "the same ones each time"
    assert len(np.unique(labels[chosen_queries(labels, 60)])) == 60
    assert chosen_queries(labels[:9], 10).tolist() == list(range(9))


def test_labels_that_share_an_image_are_one_product() -> None:
    rows = clustered_rows(60, 16)
    labels = np.arange(60) // 6
    twice = np.concatenate([rows, rows[:1], rows[6:7]])  # label 10 repeats an image of 0, and 11 one of 1
    numbers = np.concatenate([labels, [10, 11]])
    found = leave_out(twice, numbers, lambda: [(twice, numbers)]).unknown
    assert found.count == 10
    assert found.products[0] == found.products[60]
    assert found.products[6] == found.products[61] != found.products[0]
    joined = np.concatenate([labels, [0, 1]])
    np.testing.assert_allclose(found.scores, leave_out(twice, joined, lambda: [(twice, joined)]).unknown.scores)


def test_chain_of_shared_images_joins_all_its_labels() -> None:
    rows = clustered_rows(40, 16)
    chain = np.concatenate([rows, rows[:1], rows[10:11], rows[10:11], rows[20:21]])
    numbers = np.concatenate([np.arange(40) // 10, [4, 4, 5, 5]])
    assert leave_out(chain, numbers, lambda: [(chain, numbers)]).unknown.count == 2


def asked(rows: Rows, labels: NDArray[np.int64], query: Rows, left_out: set[int]) -> list[Match]:
    """Return a query's neighbors, best first, by a plain loop."""
    places = [place for place in range(len(rows)) if place not in left_out]
    found = sorted(((float(rows[place] @ query), place) for place in places), reverse=True)
    return [Match(place, str(labels[place]), similarity) for similarity, place in found]


def test_known_products_ask_without_themselves() -> None:
    rows, labels = clustered_rows(40, 16), np.arange(40) // 4
    labels[39] = 10  # alone under its label
    known = leave_out(rows, labels, lambda: [(rows, labels)]).known
    assert len(known.scores) == 39
    for place in range(39):
        matches = asked(rows, labels, rows[place], {place})
        assert known.scores[place] == pytest.approx(score_of(matches), abs=1e-5)
        assert known.right[place] == (matches[0].label == str(labels[place]))


def test_copies_of_an_image_do_not_answer_for_it() -> None:
    rows, labels = clustered_rows(12, 16), np.arange(12) // 4
    twice, numbers = np.concatenate([rows, rows]), np.concatenate([labels, labels])
    once, copied = (
        leave_out(rows, labels, lambda: [(rows, labels)]),
        leave_out(twice, numbers, lambda: [(twice, numbers)]),
    )
    np.testing.assert_allclose(copied.known.scores[:12], once.known.scores, atol=1e-5)


def test_impostors_claim_another_label() -> None:
    rows, labels = clustered_rows(40, 16), np.arange(40) // 4
    claims = random_claims(labels, labels)
    assert (claims != labels).all()
    assert set(claims.tolist()) <= set(labels.tolist())
    found = leave_out(rows, labels, lambda: [(rows, labels)], claims=claims).impostors
    for place in range(40):
        own = set(np.flatnonzero(labels == labels[place]).tolist())
        matches = asked(rows, labels, rows[place], own)
        nearest = next(match for match in matches if match.label == str(claims[place]))
        expected = label_score(matches, nearest.label, nearest.similarity)
        assert found.scores[place] == pytest.approx(expected, abs=1e-5)


def test_nobody_can_claim_another_label_of_one() -> None:
    assert random_claims(np.zeros(3, int), np.zeros(3, int)).tolist() == [-1] * 3
    assert random_claims(np.zeros(3, int), np.zeros(0, int)).tolist() == [-1] * 3
    rows = clustered_rows(3, 16)
    samples = leave_out(rows, np.zeros(3, int), lambda: [(rows, np.zeros(3, int))], claims=np.full(3, -1))
    assert samples.impostors.count == 0
    assert samples.known.right.all()


def test_foreign_products_ask_all_items() -> None:
    rows, labels = clustered_rows(40, 16), np.arange(40) // 4
    foreign = clustered_rows(9, 16, seed=7)
    found = foreign_scores(foreign, [(rows[:25], labels[:25]), (rows[25:], labels[25:])])
    expected = [score_of(asked(rows, labels, row, set())) for row in foreign]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    nearest = labels[(foreign @ rows.T).argmax(axis=1)]
    negative = foreign_scores(foreign, [(rows, labels)], negative=int(nearest[0]))
    assert ((negative == LOWEST_SCORE) == (nearest == nearest[0])).all()
