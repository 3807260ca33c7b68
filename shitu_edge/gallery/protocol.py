"""The interface of a gallery that a recognizer searches."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Protocol

from ..errors import FingerprintError
from ..results import Match
from .index import Rows
from .store import Meta
from .store.given import text


class GallerySearch(Protocol):
    """Searchable labeled embeddings: a `Gallery` file or a `MilvusGallery`; `str` names it in messages.

    Thread-safe. Every answer is of one revision: the product list before a change or after it.
    """

    @property
    def meta(self) -> Meta:
        """The extractor's name and fingerprint, and the dimension."""

    def search_with_revision(
        self, queries: Rows, k: int = 5, workers: Executor | None = None
    ) -> tuple[int, list[tuple[Match, ...]]]:
        """Return the revision that answered, and the `k` nearest items of each query, best first; fewer if it is small.

        Args:
            queries: unit rows (Q, D) float32.
            k: number of items, at least 1.
            workers: threads that may share the queries, not including the caller's.

        Raises:
            GalleryError: the queries are not unit rows of the gallery's dimension, `k` is not positive, or the gallery
                cannot be read.
        """

    def close(self) -> None:
        """Close files and connections; a second call does nothing."""


def require_extractor(gallery: GallerySearch, extractor: str, fingerprint: str, bundle: str = "") -> None:
    """Check that embeddings of an extractor may be searched in a gallery; `bundle` is its bundle's name or folder.

    Raises:
        FingerprintError: the gallery was made with another one.
    """
    extractor, fingerprint = text(extractor, "the extractor's name"), text(fingerprint, "the extractor's fingerprint")
    meta, option = gallery.meta, f" --models {bundle}" if bundle else ""
    if fingerprint != meta.fingerprint:
        raise FingerprintError(
            f"{gallery}: was made with extractor {meta.extractor} ({meta.fingerprint[:8]}), but {extractor} "
            f"({fingerprint[:8]}) is open; use --models to name the bundle it was made with, or run "
            f"`shitu-edge gallery re-embed {gallery}{option}`",
            meta.fingerprint,
        )
