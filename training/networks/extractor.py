"""The extractor: a backbone, PP-ShiTu V2's end of it, and the batch-normalised neck.

V2's end (`PPLCNetV2_base_ShiTu` in PaddleClas): features are averaged over the picture and mapped by one linear layer
with bias, without activation and classifier; the neck (Luo et al., "Bag of Tricks", arXiv:1903.07071) normalises each
number over the training set.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from .lcnet import LCNet
from .lcnet_v2 import LCNetV2

Backbone = Literal["lcnet", "lcnet_v2"]


class Extractor(nn.Module):
    """Pictures to embeddings.

    Args:
        scale: width of the backbone.
        dim: numbers an embedding.
        last_stride: stride of the backbone's last stage.
        backbone: PP-LCNet or PP-LCNetV2.
    """

    def __init__(self, scale: float = 1.0, dim: int = 512, last_stride: int = 1, backbone: Backbone = "lcnet") -> None:
        super().__init__()
        self.facts = {"backbone": backbone, "scale": scale, "dim": dim, "last_stride": last_stride}
        self.backbone: LCNet | LCNetV2
        if backbone == "lcnet":
            self.backbone = LCNet(scale, last_stride)
            channels = self.backbone.channels["blocks6"]
        else:
            self.backbone = LCNetV2(scale, last_stride)
            channels = self.backbone.out_channels
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.last_conv = nn.Conv2d(channels, dim, 1)
        self.neck = nn.BatchNorm1d(dim)

    def pooled(self, images: Tensor) -> Tensor:
        """Return the averaged features (N, C, 1, 1) of pictures (N, 3, H, W)."""
        pooled: Tensor = self.avg_pool(self.backbone(images))
        return pooled

    def embed(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map averaged features to embeddings (N, D) before and after the neck."""
        before = self.last_conv(pooled).flatten(1)
        return before, self.neck(before)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (N, D), not normalised, of pictures (N, 3, H, W)."""
        return self.embed(self.pooled(images))[1]
