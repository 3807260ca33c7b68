"""PP-LCNetV2 against what is known of PaddleClas', and its branches against the one convolution made of them."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from torch import nn

from training.networks.lcnet_v2 import LCNetV2


def test_it_has_as_many_parameters_as_the_official_one() -> None:
    """PaddleClas gives 6.6 million for PPLCNetV2_base, which ends in 1280 channels and 1000 classes."""
    network = LCNetV2(1.0)
    network.re_parameterize()
    end = 1024 * 1280 + 1280 * 1000 + 1000
    assert round((sum(value.numel() for value in network.parameters()) + end) / 1e6, 1) == 6.6


@pytest.mark.parametrize(("last_stride", "side"), [(2, 2), (1, 4)])
def test_the_last_stride(last_stride: int, side: int) -> None:
    network = LCNetV2(0.25, last_stride).eval()
    shapes = [tuple(feature.shape) for feature in network(torch.zeros(1, 3, 64, 64))]
    sides = (16, 8, 4, side)
    assert shapes == [(1, channels, side, side) for channels, side in zip(network.stage_channels, sides, strict=True)]


@pytest.mark.parametrize("last_stride", [1, 2])
def test_one_convolution_answers_as_its_branches(last_stride: int) -> None:
    torch.manual_seed(1)
    network = LCNetV2(0.25, last_stride)
    network(torch.randn(8, 3, 64, 64))  # statistics that are not 0 and 1
    network.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)[-1]
        network.re_parameterize()
        found = network(images)[-1]
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    kernels = [
        module.kernel_size for module in network.modules() if isinstance(module, nn.Conv2d) and module.groups > 1
    ]
    assert kernels == [(3, 3)] * 5 + [(5, 5)] * 8, "one depthwise convolution a block"
