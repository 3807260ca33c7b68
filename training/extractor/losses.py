"""Losses of the extractor: ArcMargin, TripletAngularMargin, and a teacher's vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ArcMargin(nn.Module):
    """Classification on the sphere, with an angle added to the right class (Deng et al., arXiv:1801.07698).

    Args:
        dim: numbers an embedding.
        classes: how many there are.
        margin: the angle, in radians.
        scale: of the cosines before the softmax.
    """

    def __init__(self, dim: int, classes: int, margin: float = 0.2, scale: float = 30.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        nn.init.xavier_normal_(self.weight)
        self.margin, self.scale = margin, scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross entropy of embeddings (N, D) for labels (N,)."""
        cosine = functional.normalize(embeddings) @ functional.normalize(self.weight).T
        right = cosine.gather(1, labels[:, None])
        sine = (1 - right.square()).clamp(min=1e-6).sqrt()
        turned = right * math.cos(self.margin) - sine * math.sin(self.margin)
        # Beyond pi - margin the turned cosine would rise again: go on linearly.
        turned = torch.where(right > -math.cos(self.margin), turned, right - math.sin(self.margin) * self.margin)
        return functional.cross_entropy(cosine.scatter(1, labels[:, None], turned) * self.scale, labels)


def triplet_angular_margin(
    embeddings: Tensor, labels: Tensor, margin: float = 0.5, positive: float = 0.8, negative: float = 0.4
) -> Tensor:
    """Return PP-ShiTu V2's triplet loss on cosines: the hardest positive against the hardest negative of a batch.

    As `TripletAngularMarginLoss` of PaddleClas 2.6: the hinge on the difference, and a tenth of the absolute hinges
    that want positives over `positive` and negatives under `negative`.

    Args:
        embeddings: (N, D), not normalized.
        labels: (N,).
        margin: by which a positive's cosine should lead.
        positive: cosine that positives should reach.
        negative: cosine that negatives should stay under.
    """
    unit = functional.normalize(embeddings)
    cosine = unit @ unit.T
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool)
    hardest_positive = cosine.masked_fill(~same | itself, 2.0).amin(1)
    hardest_negative = cosine.masked_fill(same, -2.0).amax(1)
    valid = (hardest_positive <= 1.5) & (hardest_negative >= -1.5)
    if not valid.any():
        return embeddings.sum() * 0.0
    near, far = hardest_positive[valid], hardest_negative[valid]
    relative = functional.relu(far - near + margin).mean()
    absolute = functional.relu(positive - near).mean() + functional.relu(far - negative).mean()
    return relative + 0.1 * absolute


class Distillation(nn.Module):
    """Distance of a linear map of the embedding from a teacher's centered vector: 1 - cosine.

    Args:
        dim: numbers an embedding.
        teacher_dim: numbers a teacher's vector.
    """

    def __init__(self, dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.map = nn.Linear(dim, teacher_dim)

    def forward(self, embeddings: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean over embeddings (N, D) and teacher's vectors (N, T), whose mean is 0."""
        return 1 - functional.cosine_similarity(self.map(embeddings), teacher).mean()


class MapDistillation(nn.Module):
    """Distance of linear maps of a backbone's feature maps from a teacher's: 1 - cosine, place by place.

    An image teaches 49 times what its one vector does (Romero et al., "FitNets", arXiv:1412.6550).

    Args:
        channels: of the backbone's maps.
        depths: of the teacher's, in the same order.
    """

    def __init__(self, channels: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(*pair, 1) for pair in zip(channels, depths, strict=True))
        self.depths = list(depths)

    def forward(self, features: Sequence[Tensor], teacher: Tensor) -> Tensor:
        """Return the mean over places of features (N, C, H, W) and teacher's maps (N, all depths, H', W')."""
        losses = []
        for own, feature, wanted in zip(self.maps, features, teacher.split(self.depths, 1), strict=True):
            seen = functional.interpolate(own(feature), wanted.shape[2:], mode="bilinear")
            losses.append(1 - functional.cosine_similarity(seen, wanted).mean())
        return torch.stack(losses).mean()
