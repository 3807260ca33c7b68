"""Linear discriminant analysis against what can be said by hand."""

from __future__ import annotations

import numpy as np

from training.extractor.discriminant import Scatter, discriminant


def test_scatter_by_hand() -> None:
    features = np.array([[0.0, 0.0], [2.0, 0.0], [10.0, 4.0], [10.0, 8.0]])
    scatter = Scatter.of(features, np.array([7, 7, 3, 3], np.int32))
    np.testing.assert_allclose(scatter.within, [[1, 0], [0, 4]])
    np.testing.assert_allclose(scatter.between, np.cov([[1, 10], [0, 6]]))
    np.testing.assert_allclose(scatter.mean, [5.5, 3])


def test_directions_that_tell_products_apart_count_and_noise_does_not() -> None:
    """Four numbers, the second of which is loud and says nothing."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(200), 10).astype(np.int32)
    features = rng.standard_normal((200, 4))[labels] * [3, 0, 3, 3] + rng.standard_normal((2000, 4)) * [1, 20, 1, 1]
    matrix, offset = discriminant(Scatter.of(features, labels), 3, 0.03)
    rows = features @ matrix.T + offset
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-9)
    assert 0.7 < (rows**2).sum(1).mean() < 1
    assert np.abs(matrix[:, 1]).max() < 0.02 * np.abs(matrix).max()


def test_scatters_mix_by_their_shares() -> None:
    one, other = (Scatter(np.eye(2) * n, np.ones((2, 2)) * n, np.full(2, n)) for n in (1.0, 5.0))
    mixed = Scatter.mix([one, other], [3, 1])
    np.testing.assert_allclose(mixed.within, np.eye(2) * 2)
    np.testing.assert_allclose(mixed.between, np.full((2, 2), 2))
    np.testing.assert_allclose(mixed.mean, [2, 2])
