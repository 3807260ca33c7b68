"""PP-LCNetV2 in PyTorch: the backbone of PP-ShiTu's V2 extractor.

Source: PaddleClas 2.6 (`ppcls/arch/backbone/legendary_models/pp_lcnet_v2.py`, `PPLCNetV2_base` and, for the last
stride, `variant_models/pp_lcnetv2_variant.py`). Modules are named as there, so that weights go over name by name.
"""

from __future__ import annotations

from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lcnet import ConvBN, SqueezeExcitation, round_channels

# Per stage: blocks, channels out (of scale 1), depthwise kernel, and whether it is split, branched, excited, bridged.
_STAGES = (
    (2, 128, 3, False, False, False, False),
    (2, 256, 3, False, False, False, False),
    (6, 512, 5, True, True, True, False),
    (2, 1024, 5, False, True, False, True),
)
_STEM_CHANNELS = (32, 64)
_RELU, _PLAIN = partial(ConvBN, act=nn.ReLU(inplace=True)), partial(ConvBN, act=nn.Identity())


class LCNetV2(nn.Module):
    """The backbone, from pixels to feature maps.

    Args:
        scale: width; all channel counts are multiplied by it and rounded to a multiple of 8.
        last_stride: stride of the last stage: 2, or 1 as PP-ShiTu V2 has it for extractors.
    """

    def __init__(self, scale: float = 1.0, last_stride: int = 2) -> None:
        super().__init__()
        first, channels = (round_channels(width * scale) for width in _STEM_CHANNELS)
        self.stem = nn.Sequential(_RELU(3, first, 3, stride=2), RepDepthwiseSeparable(first, channels, 3))
        stages = []
        for depth, width, kernel, split, branch, excite, bridge in _STAGES:
            wanted = round_channels(width * scale)
            stride = 2 if width < _STAGES[-1][1] else last_stride
            blocks = [RepDepthwiseSeparable(channels, wanted, kernel, stride, split, branch, excite)]
            blocks += [
                RepDepthwiseSeparable(wanted, wanted, kernel, 1, split, branch, excite, bridge)
                for _ in range(depth - 1)
            ]
            stages.append(nn.Sequential(*blocks))
            channels = wanted
        self.stages = nn.ModuleList(stages)
        self.stage_channels = [round_channels(width * scale) for _, width, *_ in _STAGES]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W) to each stage's features (N, C, H', W'), first to last."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            features.append(x := stage(x))
        return features


class RepDepthwiseSeparable(nn.Module):
    """A depthwise and a pointwise convolution.

    Args:
        channels_in, channels_out, kernel, stride: of the block.
        split: two pointwise convolutions with half the channels between them.
        branch: while training, depthwise convolutions of all odd kernels up to `kernel` beside each other.
        excite: squeeze-and-excitation after the depthwise convolution.
        bridge: the input is added to the output.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        split: bool = False,
        branch: bool = False,
        excite: bool = False,
        bridge: bool = False,
    ) -> None:
        super().__init__()
        self.bridge = bridge
        # With a stride a kernel of 1 would skip pixels.
        kernels = range(kernel, 1 if stride > 1 else 0, -2) if branch else (kernel,)
        convs = [_PLAIN(channels_in, channels_in, size, stride, channels_in) for size in kernels]
        self.dw_conv_list = nn.ModuleList(convs if branch else ())
        self.dw_conv: nn.Module | None = None if branch else convs[0]
        self.se = SqueezeExcitation(channels_in, nn.Sigmoid()) if excite else nn.Identity()
        self.pointwise = ("pw_conv_1", "pw_conv_2") if split else ("pw_conv",)
        if split:
            self.pw_conv_1 = _RELU(channels_in, channels_out // 2, 1)
            self.pw_conv_2 = _RELU(channels_out // 2, channels_out, 1)
        else:
            self.pw_conv = _RELU(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        branches = self.dw_conv_list if self.dw_conv is None else [self.dw_conv]
        y: Tensor = self.se(functional.relu(reduce(torch.add, [branch(x) for branch in branches])))
        for name in self.pointwise:
            y = self.get_submodule(name)(y)
        return x + y if self.bridge else y
