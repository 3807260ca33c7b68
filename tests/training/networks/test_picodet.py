"""PicoDet's levels, its size, and the names by which its weights go over to PaddleDetection."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.networks.picodet import PicoDet, PicoDetConfig


@pytest.fixture(scope="module")
def network() -> PicoDet:
    torch.manual_seed(0)
    network = PicoDet(PicoDetConfig())
    network.eval()
    return network


@torch.inference_mode()
def test_levels_of_any_multiple_of_32(network: PicoDet) -> None:
    outputs = network(torch.zeros(2, 3, 160, 96))
    grids = [(20, 12), (10, 6), (5, 3), (3, 2)]
    assert [tuple(level.shape) for level in outputs.logits] == [(2, 1, *grid) for grid in grids]
    assert [tuple(level.shape) for level in outputs.bins] == [(2, 32, *grid) for grid in grids]


@torch.inference_mode()
def test_an_untrained_network_finds_nearly_nothing(network: PicoDet) -> None:
    scores = torch.cat([level.sigmoid().flatten() for level in network(torch.rand(1, 3, 64, 64)).logits])
    assert scores.max() < 0.1


@torch.inference_mode()
def test_images_of_a_batch_do_not_see_each_other(network: PicoDet) -> None:
    images = torch.rand(2, 3, 64, 64)
    both, alone = network(images), network(images[1:])
    for level, expected in zip((*both.logits, *both.bins), (*alone.logits, *alone.bins), strict=True):
        torch.testing.assert_close(level[1:], expected)


def test_size(network: PicoDet) -> None:
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    # By hand, 64 channels: a depthwise-separable module of 5 × 5 has 64 · 25 + 64 · 64 + 2 · 128 = 5 952 parameters;
    # the head has 2 of them a level and 64 · 33 + 33 for the last convolution.
    assert parameters["head"] == 4 * (2 * 5952 + 64 * 33 + 33)
    # Neck: four modules, four fusions (25 · 128 + 256 + 128 · 128 + 256 and 25 · 128 + 256 + 128 · 64 + 128) and three
    # 1 × 1 convolutions from 64, 128 and 256 channels.
    assert parameters["neck"] == 4 * 5952 + 4 * (20096 + 11776) + 64 * (64 + 128 + 256) + 3 * 128


def test_names_of_paddledetection(network: PicoDet) -> None:
    names = {name.replace("_0.conv", ".0.conv") for name in network.state_dict()}
    assert {
        "backbone.conv1.conv.weight",
        "backbone.blocks6.1.se.conv2.bias",
        "neck.conv_t.convs.2.bn.weight",
        "neck.first_top_conv.dwconv.weight",
        "neck.top_down_blocks.1.0.dw_conv.conv.weight",
        "neck.bottom_up_blocks.0.1.pw_conv.bn.bias",
        "neck.downsamples.1.pwconv.weight",
        "head.conv_feat.cls_conv_dw3.0.conv.weight",
        "head.head_cls3.weight",
    } <= names
