"""PP-LCNet's shapes, and that an untrained one tells images apart."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from torch import nn

from training.networks.extractor import Extractor
from training.networks.lcnet import LCNet, round_channels


@pytest.mark.parametrize(("last_stride", "side"), [(1, 4), (2, 2)])
def test_stages_halve_the_sides(last_stride: int, side: int) -> None:
    features = LCNet(0.5, last_stride).features(torch.randn(2, 3, 64, 64))
    assert [tuple(stage.shape[1:]) for stage in features.values()] == [
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
        (128, 4, 4),
        (256, side, side),
    ]


def test_channels_are_multiples_of_8_and_hardly_fewer() -> None:
    assert [round_channels(width) for width in (4, 11, 12, 18, 20, 100)] == [8, 16, 16, 24, 24, 104]


def test_an_untrained_network_spreads_images_over_many_directions() -> None:
    """Effective rank (participation ratio) of embeddings; 3.1 with biases that start at 0."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(96, 3, 6, 6, generator=generator) * torch.rand(96, 1, 1, 1, generator=generator) * 2
    images = nn.functional.interpolate(coarse, (48, 48), mode="bilinear")
    torch.manual_seed(0)
    network = Extractor(0.5, 64).train()
    with torch.no_grad():
        rows = nn.functional.normalize(network(images))
    squares = torch.linalg.svdvals(rows - rows.mean(0)).square()
    assert squares.sum() ** 2 / squares.square().sum() > 6
