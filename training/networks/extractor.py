"""The extractor: a backbone, PP-ShiTu V2's end of it, and the batch-normalized neck.

V2's end (`PPLCNetV2_base_ShiTu` in PaddleClas): features are averaged over the image and mapped by one linear layer
with bias, without activation and classifier; the neck (Luo et al., "Bag of Tricks", arXiv:1903.07071) normalizes each
number over the training set. Ours may look at the averages of earlier stages, too: they know colors and textures that
the last one of a small network has lost ("hypercolumns", Hariharan et al., arXiv:1411.5752), and cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .lcnet import LCNet
from .lcnet_v2 import LCNetV2

Backbone = Literal["lcnet", "lcnet_v2"]
_FACTS = ("backbone", "scale", "dim", "last_stride", "stages")


class Extractor(nn.Module):
    """Images to embeddings.

    Args:
        scale: width of the backbone.
        dim: numbers an embedding.
        last_stride: stride of the backbone's last stage.
        backbone: PP-LCNet or PP-LCNetV2.
        stages: how many of the backbone's last stages the embedding is made of.

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
    ) -> None:
        super().__init__()
        self.facts: dict[str, Any] = {
            "backbone": backbone,
            "scale": scale,
            "dim": dim,
            "last_stride": last_stride,
            "stages": stages,
        }
        self.stages = stages
        self.backbone: LCNet | LCNetV2
        self.backbone = LCNet(scale, last_stride) if backbone == "lcnet" else LCNetV2(scale, last_stride)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        channels = self.backbone.stage_channels
        if not 1 <= stages <= len(channels):
            raise ValueError(f"stages: expected 1 to {len(channels)}, found {stages}")
        self.last_conv = nn.Conv2d(sum(channels[-stages:]), dim, 1)
        self.neck = nn.BatchNorm1d(dim)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Extractor:
        """Build an extractor from what a checkpoint or a Paddle model says of one; the rest are defaults.

        Raises:
            ValueError: it looked at mirror images too.
        """
        if facts.get("mirrored"):
            raise ValueError("extractors that also look at mirror images are no longer supported")
        return cls(**{name: facts[name] for name in _FACTS if name in facts})

    def average(self, features: Sequence[Tensor]) -> Tensor:
        """Average the last of all stages' features (N, C_i, H_i, W_i) over the image, and join them: (N, C, 1, 1)."""
        return torch.cat([self.avg_pool(feature) for feature in features[-self.stages :]], 1)

    def embed(self, averages: Tensor) -> Tensor:
        """Map averaged features (N, C, 1, 1) to embeddings (N, D)."""
        return self.neck(self.last_conv(averages).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (N, D), not normalized, of images (N, 3, H, W)."""
        return self.embed(self.average(self.backbone(images)))
