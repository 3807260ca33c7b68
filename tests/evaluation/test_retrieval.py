"""Retrieval metrics against scikit-learn, a plain loop and figures worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from shitu_edge.calibration import candidates_of, not_ruled_out
from shitu_edge.evaluation import retrieval
from shitu_edge.evaluation.open_set import pick_lists
from shitu_edge.evaluation.retrieval import rank
from shitu_edge.results import Match
from tests.gallery.rows import unit, unit_rows


def test_rank_worked_by_hand() -> None:
    gallery = unit(np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32))
    labels = np.array([7, 9, 9, 7])
    ranks = rank(unit(np.array([[1, 0], [0, 1], [1, 0]], np.float32)), np.array([9, 7, 5]), gallery, labels)
    assert ranks.nearest.tolist() == [0, 2, 0]
    np.testing.assert_allclose(ranks.similarity, [1, 1, 1], atol=1e-6)
    assert ranks.own_rank.tolist() == [2, 2, 0]
    assert ranks.known.tolist() == [True, True, False]
    # 9 is at ranks 2 and 4: (1/2 + 2/4) / 2; 7 at 2 and 4 as well.
    np.testing.assert_allclose(ranks.average_precision[:2], [0.5, 0.5])
    found = ranks.retrieval()
    assert (found.queries, found.recall_at_1, found.recall_at_5) == (2, 0.0, 1.0)


@pytest.mark.parametrize("chunk", [1, 1 << 30])
def test_average_precision_equals_scikit_learn(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(retrieval, "_CHUNK_BYTES", chunk)
    rng = np.random.default_rng(3)
    queries, gallery = unit_rows(40, 16, 1), unit_rows(90, 16, 2)
    query_labels, labels = rng.integers(0, 12, 40), rng.integers(0, 10, 90)
    ranks = rank(queries, query_labels, gallery, labels)
    for place, label in enumerate(query_labels):
        hits = labels == label
        if not hits.any():
            assert not ranks.known[place]
            continue
        scores = queries[place] @ gallery.T
        assert ranks.average_precision[place] == pytest.approx(average_precision_score(hits, scores), abs=1e-12)
        assert ranks.own_rank[place] == 1 + np.sum(scores > scores[hits].max())


def test_rank_leaves_out_what_may_not_answer() -> None:
    rows = unit_rows(20)
    labels = np.arange(20) // 2
    itself = rank(rows, labels, rows, labels, exclude=lambda part: np.eye(20, dtype=bool)[part])
    assert not np.any(itself.nearest == np.arange(20))
    assert itself.known.all()
    alone = rank(rows, labels, rows, labels, exclude=lambda part: labels[None] == labels[part, None])
    assert not alone.known.any()
    assert not np.any(labels[alone.nearest] == labels)


def test_rank_without_anything_that_may_answer() -> None:
    rows = unit_rows(3)
    ranks = rank(rows, np.zeros(3, int), rows, np.zeros(3, int), exclude=lambda part: np.ones((part.stop, 3), bool))
    assert ranks.nearest.tolist() == [-1, -1, -1]
    assert np.isnan(ranks.similarity).all()
    assert np.isnan(ranks.retrieval().recall_at_1)


def test_pick_lists_are_those_of_the_runtime() -> None:
    rng = np.random.default_rng(5)
    centers = unit_rows(30, 16, 1)
    labels = rng.integers(0, 30, 200)
    gallery = unit(centers[labels] + 0.15 * rng.normal(size=(200, 16)).astype(np.float32))
    own = rng.integers(0, 33, 60)
    queries = unit(centers[own % 30] + 0.2 * rng.normal(size=(60, 16)).astype(np.float32))
    ranks = rank(queries, own, gallery, labels, negative=7)
    for place, query in enumerate(queries):
        similarities = gallery @ query
        order = np.argsort(-similarities, kind="stable")[:50]
        matches = [Match(int(one), str(labels[one]), float(similarities[one])) for one in order if labels[one] != 7]
        candidates = candidates_of(matches)
        possible = candidates[: not_ruled_out(candidates)]
        assert ranks.listed[place] == len(possible)
        assert ranks.own_listed[place] == (str(own[place]) in {one.label for one in possible})
    assert ranks.listed.max() > 1


def test_pick_lists_at_a_threshold_worked_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.2])
    found = pick_lists(scores, np.array([1, 3, 2, 9]), np.array([True, False, True, True]), 0.5)
    assert found.coverage == pytest.approx(2 / 3)
    assert (found.mean_length, found.ambiguous) == (2.0, 0.5)
    nothing = pick_lists(scores, np.ones(4, int), np.ones(4, bool), 1.0)
    assert np.isnan([nothing.coverage, nothing.mean_length]).all()
    assert nothing.ambiguous == 0
