"""PP-LCNetV2 against what is known of PaddleClas'."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.networks.lcnet_v2 import LCNetV2


def test_it_has_as_many_parameters_as_the_official_one() -> None:
    """PaddleClas gives 6.6 million for PPLCNetV2_base: the largest branches, 1280 channels and 1000 classes."""
    network = LCNetV2(1.0)
    end = 1024 * 1280 + 1280 * 1000 + 1000
    kept = [
        value.numel()
        for name, value in network.named_parameters()
        if ".dw_conv_list." not in name or ".0.conv." in name.partition(".dw_conv_list")[2]
    ]
    assert round((sum(kept) + end) / 1e6, 1) == 6.6


@pytest.mark.parametrize(("last_stride", "side"), [(2, 2), (1, 4)])
def test_the_last_stride(last_stride: int, side: int) -> None:
    network = LCNetV2(0.25, last_stride).eval()
    shapes = [tuple(feature.shape) for feature in network(torch.zeros(1, 3, 64, 64))]
    sides = (16, 8, 4, side)
    assert shapes == [(1, channels, side, side) for channels, side in zip(network.stage_channels, sides, strict=True)]
