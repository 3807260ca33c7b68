"""PP-LCNetV2 in PyTorch: the backbone of PP-ShiTu's V2 extractor.

Source: PaddleClas 2.6 (`ppcls/arch/backbone/legendary_models/pp_lcnet_v2.py`, `PPLCNetV2_base` and, for the last
stride, `variant_models/pp_lcnetv2_variant.py`). Modules are named as there, so that weights go over name by name.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lcnet import round_channels

# Per stage: blocks, channels out (of scale 1), depthwise kernel, and whether it is split, branched, excited, bridged.
_STAGES = (
    (2, 128, 3, False, False, False, False),
    (2, 256, 3, False, False, False, False),
    (6, 512, 5, True, True, True, False),
    (2, 1024, 5, False, True, False, True),
)
_STEM_CHANNELS = (32, 64)


class LCNetV2(nn.Module):
    """The backbone, from pixels to feature maps.

    Args:
        scale: width; all channel counts are multiplied by it and rounded to a multiple of 8.
        last_stride: stride of the last stage: 2, or 1 as PP-ShiTu V2 has it for extractors.
    """

    def __init__(self, scale: float = 1.0, last_stride: int = 2) -> None:
        super().__init__()
        first, channels = (round_channels(width * scale) for width in _STEM_CHANNELS)
        self.stem = nn.Sequential(ConvBN(3, first, 3, stride=2), RepDepthwiseSeparable(first, channels, 3))
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
        """Map pictures (N, 3, H, W) to each stage's features (N, C, H', W'), first to last."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            features.append(x := stage(x))
        return features

    def re_parameterize(self) -> None:
        """Make one convolution of each block's branches, for inference: the same answers, faster; no way back."""
        for module in list(self.modules()):
            if isinstance(module, RepDepthwiseSeparable):
                module.re_parameterize()


class ConvBN(nn.Module):
    """Convolution, batch normalization and, if `act`, ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        answer: Tensor = self.act(self.bn(self.conv(x)))
        return answer


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole picture holds; the first version's, but with a sigmoid."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(channels, channels // reduction, 1)
        self.conv2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights: Tensor = self.conv2(functional.relu(self.conv1(self.avg_pool(x)))).sigmoid()
        return x * weights


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
        convs = [ConvBN(channels_in, channels_in, size, stride, channels_in, act=False) for size in kernels]
        self.dw_conv_list = nn.ModuleList(convs if branch else ())
        self.dw_conv: nn.Module | None = None if branch else convs[0]
        self.se = SqueezeExcitation(channels_in) if excite else nn.Identity()
        self.pointwise = ("pw_conv_1", "pw_conv_2") if split else ("pw_conv",)
        if split:
            self.pw_conv_1 = ConvBN(channels_in, channels_out // 2, 1)
            self.pw_conv_2 = ConvBN(channels_out // 2, channels_out, 1)
        else:
            self.pw_conv = ConvBN(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        branches = self.dw_conv_list if self.dw_conv is None else [self.dw_conv]
        y: Tensor = self.se(functional.relu(reduce(torch.add, [branch(x) for branch in branches])))
        for name in self.pointwise:
            y = self.get_submodule(name)(y)
        return x + y if self.bridge else y

    @torch.no_grad()
    def re_parameterize(self) -> None:
        """Replace the branches, if there are any, by the one convolution that does what they do in inference.

        A batch norm is linear once its statistics are fixed, and a smaller kernel is a larger one with zeros around it
        (Ding et al., "RepVGG", arXiv:2101.03697).
        """
        if self.dw_conv is not None:
            return
        branches = [branch for branch in self.dw_conv_list if isinstance(branch, ConvBN)]
        largest = branches[0].conv
        size = largest.kernel_size[0]
        weights, biases = zip(*(_fold(branch, size) for branch in branches), strict=True)
        conv = nn.Conv2d(
            largest.in_channels, largest.out_channels, size, largest.stride[0], size // 2, groups=largest.groups
        )
        assert conv.bias is not None
        conv.weight.copy_(torch.stack(weights).sum(0))
        conv.bias.copy_(torch.stack(biases).sum(0))
        self.dw_conv, self.dw_conv_list = conv, nn.ModuleList()


def _fold(branch: ConvBN, size: int) -> tuple[Tensor, Tensor]:
    """Return a branch's kernel, as large as `size`, and its bias, with the batch norm put into them."""
    norm = branch.bn
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    around = (size - branch.conv.kernel_size[0]) // 2
    weight = functional.pad(branch.conv.weight * factor.view(-1, 1, 1, 1), (around,) * 4)
    return weight, norm.bias - norm.running_mean * factor
