"""Leave-one-label-out against a plain loop, in parts of any size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.calibration import chosen_queries, score_of, unknown, unknown_scores
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
    monkeypatch.setattr(unknown, "_BLOCK", block)
    rows = clustered_rows(300, 16)
    labels = np.arange(300) // 6
    blocks = list(zip(np.array_split(rows, parts), np.array_split(labels, parts), strict=True))
    found = unknown_scores(rows, labels, lambda: blocks)
    np.testing.assert_allclose(found.scores, [by_loop(rows, labels, place) for place in range(300)], atol=1e-5)
    assert found.count == 50


def test_one_label_alone_has_nothing_to_resemble() -> None:
    rows = clustered_rows(5, 16)
    assert unknown_scores(rows, np.zeros(5, int), lambda: [(rows, np.zeros(5, int))]).scores.tolist() == [-1.0] * 5


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
    found = unknown_scores(twice, numbers, lambda: [(twice, numbers)])
    assert found.count == 10
    assert found.products[0] == found.products[60]
    assert found.products[6] == found.products[61] != found.products[0]
    joined = np.concatenate([labels, [0, 1]])
    np.testing.assert_allclose(found.scores, unknown_scores(twice, joined, lambda: [(twice, joined)]).scores)


def test_chain_of_shared_images_joins_all_its_labels() -> None:
    rows = clustered_rows(40, 16)
    chain = np.concatenate([rows, rows[:1], rows[10:11], rows[10:11], rows[20:21]])
    numbers = np.concatenate([np.arange(40) // 10, [4, 4, 5, 5]])
    assert unknown_scores(chain, numbers, lambda: [(chain, numbers)]).count == 2
