"""Import of items with their embeddings, into a new or an existing gallery."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ...errors import GalleryError, os_errors_as
from ...system.unfinished import publish, unfinished
from ..gallery import Gallery
from ..protocol import require_extractor
from ..store import Meta, NewGalleryItem


def take_in(path: Path, meta: Meta, items: Iterable[NewGalleryItem], *, author: str = "", note: str = "") -> int:
    """Add items as one revision to a gallery, created if missing; return their number.

    A new file appears only when it is complete.

    Raises:
        FingerprintError: the gallery was made with another extractor than the items' embeddings.
        GalleryError: an item is refused, or the file cannot be written.
    """
    if os.path.lexists(path):
        with Gallery.open(path, background=False) as gallery:
            require_extractor(gallery, meta.extractor, meta.fingerprint)
            return len(gallery.add(items, author=author, note=note))
    with unfinished(path) as partial:
        with Gallery.create(
            partial, extractor=meta.extractor, fingerprint=meta.fingerprint, dim=meta.dim, background=False
        ) as gallery:
            added = len(gallery.add(items, author=author, note=note))
            gallery.history.compact()
        with os_errors_as(GalleryError, path, "cannot be created"):
            publish(partial, path)
    return added
