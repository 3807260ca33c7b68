"""The last layer by linear discriminant analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.extractor.evaluate import embed_pack, evaluate
from training.extractor.packs import Pack, pack_pictures
from training.extractor.refit import SHRINKAGE, Scatter, discriminant, refit
from training.networks.extractor import Extractor

from .pictures import write_products
from .test_packs import ignore


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
    matrix, offset = discriminant(Scatter.of(features, labels), 3)
    rows = features @ matrix.T + offset
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-9)
    assert 0.7 < (rows**2).sum(1).mean() < 1
    assert np.abs(matrix[:, 1]).max() < 0.02 * np.abs(matrix).max()
    assert SHRINKAGE > 0


def test_the_network_gives_what_was_fitted(tmp_path: Path) -> None:
    """Products that it has never seen are told apart better than by the untrained last layer."""
    for name, products, views in (("own", range(40), range(6)), ("new", range(50, 70), range(6))):
        pack_pictures([write_products(tmp_path / name, products, views)], tmp_path / f"{name}-pack", 40, False, ignore)
    own, new = Pack.open(tmp_path / "own-pack"), Pack.open(tmp_path / "new-pack")
    torch.manual_seed(1)
    untrained = Extractor(0.25, 32)
    before = {name: value.clone() for name, value in untrained.state_dict().items()}
    steps: list[tuple[int, int]] = []
    fitted = refit(untrained, [(own, 1.0)], 40, 1, lambda *step: steps.append(step))
    assert steps[-1] == (len(own), len(own))
    assert all(torch.equal(before[name], value) for name, value in untrained.state_dict().items()), "left as it was"
    assert torch.equal(fitted.backbone.conv1.conv.weight, untrained.backbone.conv1.conv.weight)
    assert embed_pack(fitted, new, 40).shape == (len(new), 32)
    gained = (
        evaluate(fitted, new, new, 40).mean_average_precision - evaluate(untrained, new, new, 40).mean_average_precision
    )
    assert gained > 0.05
    wider = refit(untrained, [(own, 1.0)], 40, 0, ignore, stages=5)
    assert wider.last_conv.in_channels == sum(untrained.backbone.stage_channels)
    assert torch.equal(wider.backbone.conv1.conv.weight, untrained.backbone.conv1.conv.weight)
    assert evaluate(wider, new, new, 40).mean_average_precision > 0.05


def test_more_numbers_than_the_backbone_has_are_refused() -> None:
    with pytest.raises(ValueError, match="512 numbers an embedding are more than the 128"):
        refit(Extractor(0.25, 512), [], 40, 1, ignore)
