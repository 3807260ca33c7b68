"""Whether embeddings that came with images are those of the extractor at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import GalleryError
from ..gallery import NewGalleryItem
from ..recognizer import Recognizer
from ..system.files import file_inside

_WITNESSES = 8
_SAME_EXTRACTOR = 0.97
"""Decoders and resizing differ a little between programs; embeddings of another extractor are at 0, not near 1."""


def check_vectors(recognizer: Recognizer, items: Sequence[NewGalleryItem], images: Path) -> int:
    """Check by some images that a recognizer gives the embeddings that came with them; return how many were found.

    Args:
        recognizer: of the extractor that they are said to be of.
        items: with sources relative to `images`; `_WITNESSES` whose image is there are looked at.
        images: the folder.

    Raises:
        GalleryError: the embeddings are another extractor's, or no image is there.
    """
    found = [(item, path) for item in items if (path := file_inside(images, item.source))]
    chosen = found[:: max(1, len(found) // _WITNESSES)][:_WITNESSES]
    if not chosen:
        raise GalleryError(
            f"{images}: holds no image of the index; expected for example {items[0].source if items else '-'}"
        )
    likeness = [float(recognizer.embed(path)[0] @ item.embedding) for item, path in chosen]
    if np.median(likeness) < _SAME_EXTRACTOR:
        name = recognizer.bundle.manifest.extractor.network.name
        raise GalleryError(
            f"{images}: extractor {name} gives other vectors than the index (median cosine {np.median(likeness):.3f}); "
            "use --models to name the bundle that built the index"
        )
    return len(chosen)
