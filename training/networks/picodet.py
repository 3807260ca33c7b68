"""PicoDet with a PP-LCNet backbone, one class: the detector of PP-ShiTu.

Source: Yu et al., "PP-PicoDet", arXiv:2111.00902. The parts are those of one PaddleDetection 2.6 configuration, with
the names of their modules, so that weights go over name by name:

- backbone `LCNet(scale, feature_maps=[3, 4, 5])`
- neck `LCPAN(out_channels, kernel_size=5, num_features=4, use_depthwise=True)`
- head `PicoHead(conv_feat=PicoFeat(feat_in=out_channels, feat_out=out_channels, num_fpn_stride=4, num_convs,
  share_cls_reg=True), num_classes=1, fpn_stride=[8, 16, 32, 64], reg_max=7, feat_in_chan=out_channels,
  cell_offset=0.5)`

One name differs, as PyTorch allows no dot in it: `cls_conv_dw0_1` is PaddleDetection's `cls_conv_dw0.1`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lcnet import FIRST_BIAS, ConvBN, DepthwiseSeparable, LCNet

STRIDES = (8, 16, 32, 64)
REG_MAX = 7
_STAGES = ("blocks4", "blocks5", "blocks6")
_KERNEL = 5
_PRIOR = 0.01


@dataclass(frozen=True, slots=True)
class PicoDetConfig:
    """Arguments of a PicoDet: the backbone's width, the neck's channels, the head's pairs of convolutions."""

    scale: float = 0.5
    channels: int = 64
    head_convs: int = 2


@dataclass(frozen=True, slots=True)
class HeadOutputs:
    """Outputs of the head, per stride of `STRIDES`.

    Attributes:
        logits: (N, 1, h, w); their sigmoid is the score.
        bins: (N, 4 · (REG_MAX + 1), h, w), logits of the distances from a cell's center to the left, top, right and
            bottom edge, over 0..REG_MAX strides.
    """

    logits: tuple[Tensor, ...]
    bins: tuple[Tensor, ...]


class PicoDet(nn.Module):
    """Images to the four levels of scores and distances."""

    def __init__(self, config: PicoDetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = LCNet(config.scale)
        self.neck = LCPAN([self.backbone.channels[stage] for stage in _STAGES], config.channels)
        self.head = PicoHead(config.channels, config.head_convs)

    def forward(self, images: Tensor) -> HeadOutputs:
        """Map images (N, 3, H, W), normalized, H and W multiples of 32, to the head's outputs."""
        features = self.backbone.features(images)
        return self.head(self.neck([features[stage] for stage in _STAGES]))


class DPModule(nn.Module):
    """A depthwise and a pointwise convolution, each with batch normalization and h-swish."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, _KERNEL, stride, _KERNEL // 2, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pwconv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        for conv in (self.dwconv, self.pwconv):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        for norm in (self.bn1, self.bn2):
            nn.init.constant_(norm.bias, FIRST_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ⌈H / stride⌉, ⌈W / stride⌉)."""
        x = functional.hardswish(self.bn1(self.dwconv(x)))
        return functional.hardswish(self.bn2(self.pwconv(x)))


class ChannelT(nn.Module):
    """Brings every level to the same number of channels."""

    def __init__(self, channels_in: Sequence[int], channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ConvBN(count, channels, 1) for count in channels_in)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Map levels (N, C_i, h, w) to (N, channels, h, w)."""
        return [conv(level) for conv, level in zip(self.convs, levels, strict=True)]


class LCPAN(nn.Module):
    """Path aggregation from coarse to fine and back, with PP-LCNet's blocks; adds a fourth, coarser level."""

    def __init__(self, channels_in: Sequence[int], channels: int) -> None:
        super().__init__()
        self.conv_t = ChannelT(channels_in, channels)
        self.first_top_conv = DPModule(channels, 2)
        self.second_top_conv = DPModule(channels, 2)
        steps = len(channels_in) - 1
        self.top_down_blocks = nn.ModuleList(_fusion(channels) for _ in range(steps))
        self.downsamples = nn.ModuleList(DPModule(channels, 2) for _ in range(steps))
        self.bottom_up_blocks = nn.ModuleList(_fusion(channels) for _ in range(steps))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features (N, C_i, h, w), finest first, to one level more, each (N, channels, h, w)."""
        levels = self.conv_t(features)
        fine = [levels[-1]]
        for block, level in zip(self.top_down_blocks, levels[-2::-1], strict=True):
            upsampled = functional.interpolate(fine[0], scale_factor=2, mode="nearest")
            fine.insert(0, block(torch.cat([upsampled, level], dim=1)))
        outputs = [fine[0]]
        for downsample, block, level in zip(self.downsamples, self.bottom_up_blocks, fine[1:], strict=True):
            outputs.append(block(torch.cat([downsample(outputs[-1]), level], dim=1)))
        return [*outputs, self.first_top_conv(levels[-1]) + self.second_top_conv(outputs[-1])]


def _fusion(channels: int) -> nn.Sequential:
    return nn.Sequential(
        DepthwiseSeparable(2 * channels, 2 * channels, _KERNEL, 1, excite=False),
        DepthwiseSeparable(2 * channels, channels, _KERNEL, 1, excite=False),
    )


class ConvNorm(nn.Module):
    """Convolution, depthwise or pointwise, and batch normalization."""

    def __init__(self, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.constant_(self.norm.bias, FIRST_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return self.norm(self.conv(x))


class PicoFeat(nn.Module):
    """The head's convolutions, of their own for each level, shared by scores and distances."""

    def __init__(self, channels: int, convs: int) -> None:
        super().__init__()
        self.convs = convs
        for level in range(len(STRIDES)):
            for index in range(convs):
                self.add_module(f"cls_conv_dw{level}_{index}", ConvNorm(channels, _KERNEL, channels))
                self.add_module(f"cls_conv_pw{level}_{index}", ConvNorm(channels, 1, 1))

    def forward(self, feature: Tensor, level: int) -> Tensor:
        """Map one level's feature (N, C, h, w) to the same shape."""
        for index in range(self.convs):
            for kind in ("dw", "pw"):
                conv = self.get_submodule(f"cls_conv_{kind}{level}_{index}")
                feature = functional.hardswish(conv(feature))
        return feature


class PicoHead(nn.Module):
    """Scores and distances out of one convolution a level."""

    def __init__(self, channels: int, convs: int) -> None:
        super().__init__()
        self.conv_feat = PicoFeat(channels, convs)
        for level in range(len(STRIDES)):
            conv = nn.Conv2d(channels, 1 + 4 * (REG_MAX + 1), 1)
            nn.init.normal_(conv.weight, std=0.01)
            # Nearly all cells are background: training starts from that (Lin et al., arXiv:1708.02002).
            assert conv.bias is not None
            nn.init.constant_(conv.bias, -math.log((1 - _PRIOR) / _PRIOR))
            self.add_module(f"head_cls{level}", conv)

    def forward(self, levels: Sequence[Tensor]) -> HeadOutputs:
        """Map the neck's levels to the head's outputs."""
        outputs = [
            self.get_submodule(f"head_cls{index}")(self.conv_feat(level, index)) for index, level in enumerate(levels)
        ]
        return HeadOutputs(tuple(out[:, :1] for out in outputs), tuple(out[:, 1:] for out in outputs))
