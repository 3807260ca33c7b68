"""Judging embeddings: the network worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shitu_edge.results import Detections
from shitu_edge.stages.objectness import Objectness, unnamed
from shitu_edge.stages.survey import Survey

DIM = 3


def test_output_is_that_of_a_hidden_layer() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(DIM + 2, 4)).astype(np.float32)
    rows = rng.normal(size=(6, DIM)).astype(np.float32)
    for row, found in zip(rows, Objectness(weights).log_odds(rows), strict=True):
        hidden = [
            max(0.0, sum(row[n] * weights[n, unit] for n in range(DIM)) + weights[DIM, unit]) for unit in range(4)
        ]
        assert found == pytest.approx(sum(hidden[unit] * weights[-1, unit] for unit in range(4)), abs=1e-4)


def test_no_rows() -> None:
    assert Objectness(np.ones((DIM + 2, 4), np.float32)).log_odds(np.zeros((0, DIM), np.float32)).shape == (0,)


def survey_of(*sides: float) -> Survey:
    """Return what was found in 100 × 100 pixels: a sure box of each side."""
    boxes = np.array([(0, 0, side, side) for side in sides], np.float32).reshape(-1, 4)
    found = Detections(boxes, np.full(len(sides), 0.8, np.float32), np.zeros(len(sides), np.int32))
    return Survey(found, (), (0, 0, 100, 100), 1)


@pytest.mark.parametrize(("sides", "faint"), [((12, 12, 60), None), ((12, 60, 60), "faint"), ((), "faint")])
def test_faint_boxes_count_where_most_sure_ones_are_small(sides: tuple[float, ...], faint: str | None) -> None:
    weights = np.zeros((DIM + 2, 2), np.float32)
    weights[0, 0], weights[-2, 1], weights[-1] = 1, 1, (1, -0.5)  # the first number, less a half
    rows = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    scores = (0.8, 0.8, 0.4, 0.4, None)
    found = unnamed(Objectness(weights), rows, scores, survey_of(*sides), 0.5)
    assert found == [None, "no_product", faint, "no_product", None]
    assert unnamed(Objectness(weights), rows[:2], scores, survey_of(*sides), 0.5) == [None, "no_product"]
    assert unnamed(None, rows, scores, survey_of(*sides), 0.5) == [None] * 5
