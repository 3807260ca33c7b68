"""The last layer in closed form: what a trained backbone sees of products, by linear discriminant analysis.

Gradients fit the last layer to the images of the training as closely as they fit the backbone. Here it follows from
two covariances of the backbone's features alone: within products and between them. It takes minutes, so that a shop can
fit a trained network to its own products without training it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn

from ..networks.extractor import Extractor
from ..progress import Progress
from .discriminant import Features, Scatter, discriminant
from .packs import Pack
from .views import as_input, cut, part_of

SHRINKAGE = 0.01
"""See `discriminant`. Of products left out, 0.001 to 0.1 find the same to half a point (`shitu_small/README.md`)."""
_ROWS = 64


def refit(
    extractor: Extractor,
    packs: Sequence[tuple[Pack, float]],
    side: int,
    views: int,
    progress: Progress,
    stages: int | None = None,
) -> Extractor:
    """Return an extractor with the same backbone and another last layer.

    Args:
        extractor: trained.
        packs: images of products, several of each, and each pack's share in the covariances.
        side: of the network's input, in pixels.
        views: of each image (`views.part_of`), besides the whole.
        progress: called with the images done and in all.
        stages: how many of the backbone's last stages the new layer looks at; None keeps the number.

    Raises:
        ValueError: the extractor's embeddings have more numbers than its backbone's features.
    """
    extractor = _rebuilt(extractor, stages or extractor.stages)
    channels, dim = extractor.last_conv.in_channels, extractor.last_conv.out_channels
    if dim > channels:
        raise ValueError(f"refit: {dim} numbers an embedding are more than the {channels} of the backbone's features")
    total = sum(len(pack) for pack, _ in packs)
    done, scatters = 0, []
    for pack, _ in packs:
        rows = []
        for start in range(0, len(pack), _ROWS):
            chosen = range(start, min(start + _ROWS, len(pack)))
            rows.append(_features(extractor, pack, chosen, side, views))
            done += len(chosen)
            progress(done, total)
        scatters.append(Scatter.of(np.concatenate(rows), np.repeat(pack.labels, 1 + views)))
    scatter = Scatter.mix(scatters, [share for _, share in packs])
    return _with_last_layer(extractor, *discriminant(scatter, dim, SHRINKAGE))


def _rebuilt(extractor: Extractor, stages: int) -> Extractor:
    """Return an extractor with the same backbone, whose last layer, still without meaning, looks at so many stages."""
    made = Extractor(**{**extractor.facts, "stages": stages})
    made.backbone.load_state_dict(extractor.backbone.state_dict())
    return made


@torch.no_grad()
def _features(extractor: Extractor, pack: Pack, rows: Sequence[int], side: int, views: int) -> Features:
    """Return an image's averaged features, of the whole and its views, one after the other."""
    extractor.eval()
    pixels = []
    for row in rows:
        image = pack.pixels_rgb[row]
        pixels.append(cv2.resize(image, (side, side)))
        pixels += [cut(image, part_of(row, view), side) for view in range(views)]
    return extractor.average(extractor.backbone(as_input(pixels))).flatten(1).double().numpy()


@torch.no_grad()
def _with_last_layer(extractor: Extractor, matrix: Features, offset: Features) -> Extractor:
    made = copy.deepcopy(extractor)
    made.last_conv.weight.copy_(torch.from_numpy(matrix)[:, :, None, None])
    assert made.last_conv.bias is not None
    made.last_conv.bias.copy_(torch.from_numpy(offset))
    neck: nn.BatchNorm1d = made.neck  # does nothing any more
    neck.reset_running_stats()
    neck.weight.fill_((1 + neck.eps) ** 0.5)
    neck.bias.zero_()
    return made
