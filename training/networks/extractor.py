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
        self.backbone = LCNet(scale, last_stride) if backbone == "lcnet" else LCNetV2(scale, last_stride)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.last_conv = nn.Conv2d(self.backbone.last_channels[0], dim, 1)
        self.neck = nn.BatchNorm1d(dim)

    def embed(self, features: Tensor) -> Tensor:
        """Map the backbone's features (N, C, H', W') to embeddings (N, D)."""
        embeddings: Tensor = self.neck(self.last_conv(self.avg_pool(features)).flatten(1))
        return embeddings

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (N, D), not normalised, of pictures (N, 3, H, W)."""
        return self.embed(self.backbone(images))
