"""What the recognizer needs of a gallery, whoever holds it."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Protocol

from ..results import Match
from .index import Rows


class GallerySearch(Protocol):
    """Labeled embeddings that can be searched: a `Gallery` file, or a `MilvusGallery`.

    Safe from several threads. Every answer is of one revision: the product list before a change or after it.
    """

    def require(self, extractor: str, fingerprint: str) -> None:
        """Check that embeddings of an extractor may be searched here.

        Raises:
            FingerprintError: the gallery was made with another one.
        """

    def search_with_revision(
        self, queries: Rows, k: int = 5, workers: Executor | None = None
    ) -> tuple[int, list[tuple[Match, ...]]]:
        """Return the revision that answered, and the `k` nearest items of each query, best first; fewer if it is small.

        Args:
            queries: unit rows (Q, D) float32.
            k: how many items, at least 1.
            workers: threads that may share the queries, none of which is the caller's own.

        Raises:
            GalleryError: the queries are no unit rows of the gallery's dimension, `k` is not positive, or whoever
                holds the gallery cannot answer.
        """

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""
