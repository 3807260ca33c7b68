"""A gallery for another extractor: what it knows, and the same with other embeddings in another file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

from ..store import Meta, Store
from ..store.generation import write_generation as write
from ..store.past import Past


def read_past(path: Path) -> Past:
    """Return the log of a gallery, and all items, labels and settings that any known revision has.

    Raises:
        GalleryError: it cannot be read.
    """
    with closing(Store.open(path)) as store, store.snapshot() as snapshot:
        return snapshot.past()


def write_generation(
    path: Path, past: Past, target: Path, meta: Meta, vectors: Mapping[int, bytes], dropped: Collection[str] = ()
) -> None:
    """Write a gallery with the embeddings of another extractor to a new file: same ids, labels and log.

    Args:
        path: the gallery, which gives the origins.
        past: as by `read_past`.
        target: the new file.
        meta: the other extractor.
        vectors: by item, little-endian float32 unit rows; items without one are left out of all revisions.
        dropped: beginnings of the names of settings that are left out.

    Raises:
        GalleryError: the file exists or cannot be written.
    """
    with closing(Store.open(path)) as store, store.snapshot() as snapshot:
        write(snapshot, past, target, meta, vectors, dropped)
