"""The interface of a gallery that a recognizer searches."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Protocol

from ..results import Match
from .index import Rows


class GallerySearch(Protocol):
    """Searchable labeled embeddings: a `Gallery` file or a `MilvusGallery`.

    Thread-safe. Every answer is of one revision: the product list before a change or after it.
    """

    def require(self, extractor: str, fingerprint: str) -> None:
        """Check that embeddings of an extractor may be searched here.

        Raises:
            FingerprintError: the gallery was made with another extractor.
        """

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
