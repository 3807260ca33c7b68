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


def test_weights_count_as_repeated_rows_for_means_and_as_less_certain_ones_for_the_variance() -> None:
    features = np.array([[0.0, 0.0], [2.0, 0.0], [10.0, 4.0], [10.0, 8.0]])
    labels = np.array([7, 7, 3, 3], np.int32)
    same = Scatter.of(features, labels, np.full(4, 3.0))
    np.testing.assert_allclose(same.within, Scatter.of(features, labels).within)
    scatter = Scatter.of(features, labels, np.array([1.0, 3, 1, 1]))
    np.testing.assert_allclose(scatter.between, np.cov([[1.5, 10], [0, 6]]))
    np.testing.assert_allclose(scatter.mean, [26 / 6, 2])
    np.testing.assert_allclose(scatter.within, np.array([[3, 0], [0, 8]]) / (6 - 10 / 4 - 1))


def test_one_image_per_product_says_nothing_of_what_varies_within() -> None:
    scatter = Scatter.of(np.random.default_rng(0).standard_normal((5, 3)), np.arange(5, dtype=np.int32))
    np.testing.assert_array_equal(scatter.within, np.zeros((3, 3)))


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


def test_scatters_may_have_other_shares_within() -> None:
    one, other = (Scatter(np.eye(2) * n, np.ones((2, 2)) * n, np.full(2, n)) for n in (1.0, 5.0))
    mixed = Scatter.mix([one, other], [3, 1], [1, 0])
    np.testing.assert_allclose(mixed.within, np.eye(2))
    np.testing.assert_allclose(mixed.between, np.full((2, 2), 2))
    np.testing.assert_allclose(mixed.mean, [2, 2])
