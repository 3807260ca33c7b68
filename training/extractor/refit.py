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
from numpy.typing import NDArray
from torch import nn

from shitu_edge.imaging.geometry import Pixels

from ..networks.extractor import Extractor
from ..progress import Progress
from .discriminant import Features, Scatter, discriminant
from .packs import Pack
from .views import as_input, cut, part_of

SHRINKAGE = 0.01
"""See `discriminant`. Best for products left out; 0.003 and 0.03 are half a point worse (`shitu_small/README.md`)."""
TURNED = 0.2
"""Weight of an image turned by 90, 180 or 270 degrees, against 1 of the upright image; see there."""
_ROWS = 64


def refit(
    extractor: Extractor,
    packs: Sequence[tuple[Pack, float]],
    side: int,
    views: int,
    progress: Progress,
    stages: int | None = None,
    varied: Sequence[tuple[Pack, float]] = (),
    turned: float = TURNED,
) -> Extractor:
    """Return an extractor with the same backbone and another last layer.

    Args:
        extractor: trained.
        packs: images of products, several of each, and each pack's share in the covariances.
        side: of the network's input, in pixels.
        views: of each image (`views.part_of`), besides the whole.
        progress: called with the images done and in all.
        stages: how many of the backbone's last stages the new layer looks at; None keeps the number.
        varied: images that each show another object, and each pack's share in the covariance between products alone.
        turned: weight of each image of `packs` turned by 90, 180 and 270 degrees, against 1 of the upright image; 0
            looks at upright images alone.

    Raises:
        ValueError: the extractor's embeddings have more numbers than its backbone's features.
    """
    extractor = _rebuilt(extractor, stages or extractor.stages)
    channels, dim = extractor.last_conv.in_channels, extractor.last_conv.out_channels
    if dim > channels:
        raise ValueError(f"refit: {dim} numbers an embedding are more than the {channels} of the backbone's features")
    total = sum(len(pack) for pack, _ in (*packs, *varied))
    done = 0

    def measure(pack: Pack, labels: NDArray[np.int32], views: int, turned: float) -> Scatter:
        nonlocal done
        weights, rows = [1.0, *[1.0] * views, *[turned] * (3 if turned else 0)], []
        for start in range(0, len(pack), _ROWS):
            chosen = range(start, min(start + _ROWS, len(pack)))
            rows.append(_features(extractor, pack, chosen, side, views, turned > 0))
            done += len(chosen)
            progress(done, total)
        return Scatter.of(np.concatenate(rows), np.repeat(labels, len(weights)), np.tile(weights, len(pack)))

    scatters = [measure(pack, pack.labels, views, turned) for pack, _ in packs]
    scatters += [measure(pack, np.arange(len(pack), dtype=np.int32), 0, 0.0) for pack, _ in varied]
    own, others = ([share for _, share in some] for some in (packs, varied))
    scatter = Scatter.mix(scatters, [*own, *others], [*own, *[0.0] * len(others)])
    return _with_last_layer(extractor, *discriminant(scatter, dim, SHRINKAGE))


def _rebuilt(extractor: Extractor, stages: int) -> Extractor:
    """Return an extractor with the same backbone, whose last layer, still without meaning, looks at so many stages."""
    made = Extractor(**{**extractor.facts, "stages": stages})
    made.backbone.load_state_dict(extractor.backbone.state_dict())
    return made


@torch.no_grad()
def _features(extractor: Extractor, pack: Pack, rows: Sequence[int], side: int, views: int, turned: bool) -> Features:
    """Return an image's averaged features, of the whole, its views and the whole turned, one after the other."""
    extractor.eval()
    pixels: list[Pixels] = []
    for row in rows:
        image = pack.pixels_rgb[row]
        whole = cv2.resize(image, (side, side))
        pixels += [whole, *(cut(image, part_of(row, view), side) for view in range(views))]
        pixels += [np.rot90(whole, quarters) for quarters in (1, 2, 3)] if turned else []
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
