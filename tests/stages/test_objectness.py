"""Judging embeddings: the network worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shitu_edge.stages.objectness import Objectness, unnamed
from shitu_edge.stages.regions import Regions

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


@pytest.fixture
def objectness() -> Objectness:
    """Return a network that goes by the first number of a row, and wants a half."""
    weights = np.zeros((DIM + 2, 2), np.float32)
    weights[0, 0], weights[-2, 1], weights[-1] = 1, 1, (1, -0.5)
    return Objectness(weights)


PRODUCT, LAMP = (1, 0, 0), (0, 1, 0)


def test_what_shows_no_product_does_not_count(objectness: Objectness) -> None:
    rows = np.array([PRODUCT, LAMP, PRODUCT, LAMP], np.float32)
    boxes = np.array([(20 * n, 0, 20 * n + 9, 9) for n in range(4)], np.float32)
    chosen = Regions(boxes, (0.8, 0.8, 0.4, None))
    assert unnamed(objectness, rows, chosen) == [None, "no_product", None, None]
    assert unnamed(objectness, rows[:2], chosen) == [None, "no_product"], "by a deadline"
    assert unnamed(None, rows, chosen) == [None] * 4
    assert unnamed(objectness, rows[:0], chosen) == []


def test_a_box_around_three_others_does_not_count(objectness: Objectness) -> None:
    """A fridge and what it holds; two things, or lamps, do not make a box one around several."""
    boxes = np.array([(0, 0, 100, 100), (5, 5, 25, 25), (40, 5, 60, 25), (75, 5, 95, 25)], np.float32)
    chosen = Regions(boxes, (0.7, 0.7, 0.65, 0.65))
    for contents, reason in (([PRODUCT] * 3, "no_product"), ([PRODUCT, PRODUCT, LAMP], None)):
        rows = np.array([PRODUCT, *contents], np.float32)
        assert unnamed(objectness, rows, chosen)[0] == reason
