"""Synthetic galleries of any size with the similarities of real embeddings, created once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ..bundle import ExtractorSpec
from ..errors import GalleryError, os_errors_as
from ..gallery import Gallery, NewGalleryItem
from ..system.progress import StepProgress

Rows = NDArray[np.float32]

IMAGES = 10
"""Images per product in the gallery. Each product has one more, as a query."""
_PRODUCTS = 100
_SPECTRUM = 0.45
"""Direction i has weight i^-0.45: about 60 directions carry the variance, as in the real embeddings."""
_COMMON = 0.115
"""Squared length of what all embeddings share: the median cosine between products."""
_VARIETY = (0.09, 0.70)
"""Range, over products, of an image's own share of the remaining squared length."""


def synthetic_embeddings(count: int, dim: int, seed: int) -> Rows:
    """Return unit rows (count, dim) float32, ten consecutive images per product.

    Cosines are those of PP-ShiTu V1 on 1 069 photos of drinks: within a product 0.51 / 0.65 / 0.78 at 25 / 50 / 75 %,
    between products 0.11 in the median, 0.36 at 99 %, 0.46 at 99.9 %. The first rows are the same whatever the count.
    """
    return np.concatenate([np.empty((0, dim), np.float32), *_images(count, dim, seed)])


def further_images(count: int, size: int, dim: int, seed: int) -> Rows:
    """Return unit rows (count, dim) float32: further images of products in a gallery of `size` items.

    The products are spread over the gallery; small galleries give some twice.
    """
    products = -(-size // IMAGES)
    asked = np.linspace(0, products - 1, count).astype(int)
    blocks = {number: _block(number, dim, seed)[:, IMAGES] for number in sorted(set(asked // _PRODUCTS))}
    return np.stack([blocks[product // _PRODUCTS][product % _PRODUCTS] for product in asked])


def _images(count: int, dim: int, seed: int) -> Iterator[Rows]:
    """Yield the gallery's rows, about a thousand at a time."""
    for start in range(0, count, _PRODUCTS * IMAGES):
        rows = _block(start // (_PRODUCTS * IMAGES), dim, seed)[:, :IMAGES]
        yield rows.reshape(-1, dim)[: count - start]


def _block(number: int, dim: int, seed: int) -> Rows:
    """Return the images of a hundred products, (100, 11, dim)."""
    weights = np.arange(1, dim + 1) ** -_SPECTRUM
    common = np.sqrt(_COMMON) * _unit(np.random.default_rng(seed).standard_normal(dim))
    rng = np.random.default_rng((seed, number))
    centers = _unit(rng.standard_normal((_PRODUCTS, 1, dim)) * weights)
    variety = rng.uniform(*_VARIETY, (_PRODUCTS, 1, 1))
    images = _unit(rng.standard_normal((_PRODUCTS, IMAGES + 1, dim)) * weights)
    own = np.sqrt(1 - variety) * centers + np.sqrt(variety) * images
    return _unit(common + np.sqrt(1 - _COMMON) * own).astype(np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


def prepared_gallery(
    folder: Path, size: int, extractor: ExtractorSpec, *, seed: int = 1, threads: int = 1, progress: StepProgress
) -> Path:
    """Return the file of a gallery of `size` synthetic items for an extractor, created if missing.

    Args:
        folder: where such galleries are kept; created if missing.
        size: number of items, at least one.
        extractor: the extractor recorded in the gallery.
        seed: of the items.
        threads: for building the index.
        progress: called with the steps `items` and `index` during creation, which takes minutes from 100 000 items on.

    Raises:
        GalleryError: the folder cannot be written.
    """
    path = folder / f"{size}x{extractor.dim}-{seed}-{extractor.fingerprint[:12]}.gallery"
    if path.exists():
        return path
    with os_errors_as(GalleryError, folder, "cannot be created"):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(dir=folder)
    name, fingerprint, dim = extractor.network.name, extractor.fingerprint, extractor.dim
    with scratch as unfinished:
        new = Path(unfinished, "new.gallery")
        with Gallery.create(new, extractor=name, fingerprint=fingerprint, dim=dim, background=False) as gallery:
            with gallery.change(note="synthetic items for a benchmark") as change:
                done = 0
                for rows in _images(size, dim, seed):
                    for row in rows:
                        change.add(NewGalleryItem(f"product {done // IMAGES}", "", row))
                        done += 1
                    progress("items", done, size)
            if gallery.index.is_due():
                gallery.index.rebuild(threads=threads, progress=lambda done, total: progress("index", done, total))
            try:
                gallery.copy(path)
            except GalleryError:
                if not path.exists():  # else another process created the same
                    raise
    return path
