"""Photos → the batch of a step, drawn by numbers alone, so that a step is the same after a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .augment import DecodedImage, augment
from .photos import Photo

_TILES = (1, 2, 4, 9, 16)
_TILE_SHARES = (0.6, 0.1, 0.17, 0.1, 0.03)

Batch = tuple[Tensor, Tensor, Tensor]
"""Images (N, H, W, 3) uint8 RGB, boxes (M, 4) float32, the boxes' image (M,) int64."""


class Batches(Dataset[Batch]):
    """The batches of a training, by step.

    Args:
        folders: photos of each source.
        weights: the sources' shares of what is drawn, relative to one another.
        size: images a batch.
        shapes: gives the shapes (H, W) that a step's images may have.
        seed: decides, with a step's number and the rank, what a batch holds.
        rank: which of several processes this is; each draws other images.
    """

    def __init__(
        self,
        folders: Sequence[Sequence[Photo]],
        weights: Sequence[float],
        size: int,
        shapes: Callable[[int], Sequence[tuple[int, int]]],
        seed: int,
        rank: int = 0,
    ) -> None:
        self._folders = folders
        self._shares = np.array(weights) / sum(weights)
        self._size = size
        self._shapes = shapes
        self._seed, self._rank = seed, rank

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of a step."""
        # One shape for all processes: they wait for one another.
        shapes = self._shapes(step)
        shape = shapes[int(np.random.default_rng((self._seed, step)).integers(len(shapes)))]
        random = np.random.default_rng((self._seed, step, self._rank))
        pixels, boxes = zip(*(self._image(shape, random) for _ in range(self._size)), strict=True)
        image = np.repeat(np.arange(self._size), [len(part) for part in boxes])
        return torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.concatenate(boxes)), torch.from_numpy(image)

    def _image(self, shape: tuple[int, int], random: np.random.Generator) -> DecodedImage:
        tiles = int(random.choice(_TILES, p=_TILE_SHARES))
        chosen = [self._folders[index] for index in random.choice(len(self._folders), size=tiles, p=self._shares)]
        return augment([photos[int(random.integers(len(photos)))] for photos in chosen], shape, random)
