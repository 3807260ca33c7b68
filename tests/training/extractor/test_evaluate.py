"""recall@1 and mean average precision against a hand-worked ranking and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from training.extractor.evaluate import retrieval


def at(degrees: list[float]) -> np.ndarray:
    """Return unit rows at angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_a_ranking_worked_by_hand() -> None:
    # Query 0°, label 0: gallery in order 5° (1), 10° (0), 20° (1), 40° (0): precision 1/2 and 2/4 at its items.
    # Query 41°, label 0: 40° (0), 20° (1), 10° (0), 5° (1): 1 and 2/3.
    found = retrieval(at([10, 5, 40, 20]), np.array([0, 1, 0, 1]), at([0, 41]), np.array([0, 0]))
    assert found.recall_at_1 == pytest.approx(0.5)
    assert found.mean_average_precision == pytest.approx(((1 / 2 + 2 / 4) / 2 + (1 + 2 / 3) / 2) / 2)


def test_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(70, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = rng.integers(0, 5, 70).astype(np.int32)
    gallery, queries = rows[:50], rows[50:]
    first, averages = [], []
    for query, label in zip(queries, labels[50:], strict=True):
        ranked = [labels[i] == label for i in sorted(range(50), key=lambda i: -float(gallery[i] @ query))]
        first.append(ranked[0])
        averages.append(np.mean([np.mean(ranked[: rank + 1]) for rank in range(50) if ranked[rank]]))
    found = retrieval(gallery, labels[:50], queries, labels[50:])
    assert found.recall_at_1 == pytest.approx(np.mean(first))
    assert found.mean_average_precision == pytest.approx(np.mean(averages), rel=1e-6)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="1 labels of queries are not in the gallery"):
        retrieval(at([0, 1]), np.array([0, 1]), at([0]), np.array([2]))
