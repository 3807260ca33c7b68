"""Gallery items with pictures, for what looks at them."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

import numpy as np
from PIL import Image

from shitu_edge.gallery import NewGalleryItem, Origin
from tests.photos import patches

from .rows import DIM, unit_rows


def origin(seed: int, side: int = 160) -> Origin:
    """Return an origin whose picture is one of `patches` with a margin of 20 pixels."""
    framed = np.pad(patches(seed, side), ((20, 20), (20, 20), (0, 0)), constant_values=250)
    content = BytesIO()
    Image.fromarray(framed).save(content, "JPEG", quality=90, subsampling=0)
    inside = (20.0, 20.0, 20.0 + side, 20.0 + side)
    return Origin(inside, "box", "", content.getvalue(), inside)


def pictured(seeds: Iterable[int], dim: int = DIM) -> list[NewGalleryItem]:
    """Return an item per seed, labeled `product SEED`, with a random embedding and its own picture."""
    return [NewGalleryItem(f"product {seed}", "", unit_rows(1, dim, seed)[0], origin(seed)) for seed in seeds]
