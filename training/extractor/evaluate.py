"""Retrieval by embeddings: recall@1 and mean average precision."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .packs import Pack
from .views import as_input

_ROWS = 64


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Shares in 0..1 over all queries."""

    recall_at_1: float
    mean_average_precision: float


def retrieval(
    gallery: NDArray[np.float32],
    gallery_labels: NDArray[np.int32],
    queries: NDArray[np.float32],
    query_labels: NDArray[np.int32],
) -> Retrieval:
    """Rank the gallery for each query by cosine.

    Average precision is the mean, over the gallery's items of the query's label, of the precision at their ranks
    (Manning et al., "Introduction to Information Retrieval", 8.4).

    Args:
        gallery, queries: unit rows (N, D) and (M, D).
        gallery_labels, query_labels: (N,) and (M,).

    Raises:
        ValueError: a query's label is not in the gallery.
    """
    if missing := set(query_labels.tolist()) - set(gallery_labels.tolist()):
        raise ValueError(f"{len(missing)} labels of queries are not in the gallery")
    right = gallery_labels[np.argsort(-(queries @ gallery.T), axis=1, kind="stable")] == query_labels[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(1) / right.sum(1)
    return Retrieval(float(right[:, 0].mean()), float(average.mean()))


@torch.no_grad()
def embed_pack(network: nn.Module, pack: Pack, side: int) -> NDArray[np.float32]:
    """Return unit rows (N, D) of a pack's images, seen whole at `side` pixels, resized as the runtime does."""
    network.eval()
    rows = []
    for start in range(0, len(pack), _ROWS):
        pixels = [cv2.resize(image, (side, side)) for image in pack.pixels_rgb[start : start + _ROWS]]
        rows.append(nn.functional.normalize(network(as_input(pixels))))
    return torch.cat(rows).numpy()


def evaluate(network: nn.Module, gallery: Pack, queries: Pack, side: int) -> Retrieval:
    """Embed both packs and measure; labels are the same product where their names are.

    Raises:
        ValueError: a query's product is not in the gallery.
    """
    rows = embed_pack(network, gallery, side)
    asked = embed_pack(network, queries, side)
    number = {name: index for index, name in enumerate(gallery.names)}
    absent = len(gallery.names)
    labels = np.array([number.get(queries.names[label], absent) for label in queries.labels], np.int32)
    return retrieval(rows, gallery.labels, asked, labels)
