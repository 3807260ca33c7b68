"""Maintenance of a gallery's hnswlib index: its parameters, building it, extending it, deleting old files."""

from __future__ import annotations

from ..errors import GalleryError
from .index import GraphParameters, Progress
from .live.live import Live
from .store import Store
from .store.given import instance, truth, whole

_MOST_THREADS = 1024
"""hnswlib starts as many as it is told, and takes the process down if it cannot get them."""


class GalleryIndex:
    """The index of an open gallery, as `gallery.index`. Safe from several threads."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    @property
    def parameters(self) -> GraphParameters | None:
        """Parameters of the present index; None if there is none."""
        record = self._store.index()
        return record.parameters if record else None

    def is_due(self) -> bool:
        """Return whether an index would pay: the gallery is large, and has none or one that is far behind."""
        return self._live.needs_graph()

    def rebuild(
        self,
        parameters: GraphParameters | None = None,
        *,
        extend: bool = False,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> None:
        """Bring the index up to date and use it; searches go on meanwhile, and a second call waits for the first.

        Args:
            parameters: of the index; those of the present one, or the defaults, when None.
            extend: only add what the present index lacks, if it still serves; that takes a fraction of the time.
            threads: how many build, 1 to 1024.
            progress: called with the number of items built in and the total.

        Raises:
            GalleryError: the gallery is empty, an argument is out of range, or the index cannot be built or written.
        """
        extend = truth(extend, "extend")
        if parameters is not None:
            instance(parameters, GraphParameters)
        if progress is not None and not callable(progress):
            raise GalleryError(f"expected progress to be a function, found {type(progress).__name__}")
        threads = whole(threads, "1 thread or more", 1)
        if threads > _MOST_THREADS:
            raise GalleryError(f"expected at most {_MOST_THREADS} threads, found {threads}")
        self._live.reindex(parameters, not extend, threads, progress)

    def drop_stale(self) -> None:
        """Delete the index files next to the gallery that are not its present index."""
        self._live.graphs.drop_stale()
