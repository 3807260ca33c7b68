"""Judging embeddings: the network worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shitu_edge.stages.objectness import Objectness

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
