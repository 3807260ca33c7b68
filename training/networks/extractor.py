"""The extractor: a backbone, PP-ShiTu V2's end of it, and the batch-normalized neck.

V2's end (`PPLCNetV2_base_ShiTu` in PaddleClas): features are averaged over the image and mapped by one linear layer
with bias, without activation and classifier; the neck (Luo et al., "Bag of Tricks", arXiv:1903.07071) normalizes each
number over the training set. Ours may look at the averages of earlier stages, too: they know colors and textures that
the last one of a small network has lost ("hypercolumns", Hariharan et al., arXiv:1411.5752), and cost nothing.
And it may look at each image twice, as it is and mirrored, and take the mean of what it sees, at twice the price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .lcnet import LCNet
from .lcnet_v2 import LCNetV2

Backbone = Literal["lcnet", "lcnet_v2"]


class Extractor(nn.Module):
    """Images to embeddings.

    Args:
        scale: width of the backbone.
        dim: numbers an embedding.
        last_stride: stride of the backbone's last stage.
        backbone: PP-LCNet or PP-LCNetV2.
        stages: how many of the backbone's last stages the embedding is made of.
        mirrored: whether an embedding is of an image and its mirror image.

    Raises:
        ValueError: the backbone has fewer stages.
    """

    def __init__(
        self,
        scale: float = 1.0,
        dim: int = 512,
        last_stride: int = 1,
        backbone: Backbone = "lcnet",
        stages: int = 1,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.facts: dict[str, Any] = {
            "backbone": backbone,
            "scale": scale,
            "dim": dim,
            "last_stride": last_stride,
            "stages": stages,
            "mirrored": mirrored,
        }
        self.stages, self.mirrored = stages, mirrored
        self.backbone: LCNet | LCNetV2
        self.backbone = LCNet(scale, last_stride) if backbone == "lcnet" else LCNetV2(scale, last_stride)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        channels = self.backbone.stage_channels
        if not 1 <= stages <= len(channels):
            raise ValueError(f"stages: expected 1 to {len(channels)}, found {stages}")
        self.last_conv = nn.Conv2d(sum(channels[-stages:]), dim, 1)
        self.neck = nn.BatchNorm1d(dim)

    def average(self, features: Sequence[Tensor]) -> Tensor:
        """Average the last of all stages' features (N, C_i, H_i, W_i) over the image, and join them: (N, C, 1, 1)."""
        return torch.cat([self.avg_pool(feature) for feature in features[-self.stages :]], 1)

    def look_at(self, images: Tensor) -> Tensor:
        """Return the joined averages (N, C, 1, 1) of images (N, 3, H, W), of their mirror images too where wanted."""
        if not self.mirrored:
            return self.average(self.backbone(images))
        both = self.average(self.backbone(torch.cat([images, images.flip(3)])))
        return both.reshape(2, -1, *both.shape[1:]).mean(0)

    def embed(self, averages: Tensor) -> Tensor:
        """Map averaged features (N, C, 1, 1) to embeddings (N, D)."""
        return self.neck(self.last_conv(averages).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (N, D), not normalized, of images (N, 3, H, W)."""
        return self.embed(self.look_at(images))
