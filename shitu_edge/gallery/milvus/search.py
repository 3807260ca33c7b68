"""Searching a gallery that was pushed to Milvus."""

from __future__ import annotations

from concurrent.futures import Executor
from types import TracebackType

from ...errors import GalleryError
from ...results import Match
from ..gallery import unit_queries
from ..index import Rows
from ..store import Meta
from .collection import Collection, State


class MilvusGallery:
    """A gallery in Milvus, for searching. A context manager; thread-safe.

    The next search after a push sees its revision.
    """

    def __init__(self, collection: Collection, state: State, *, graph: bool) -> None:
        self._collection = collection
        self._state = state
        self._graph = graph

    @classmethod
    def open(cls, uri: str, collection: str, *, token: str = "", timeout_s: float = 5.0) -> MilvusGallery:
        """Connect to a collection.

        Args:
            uri: `http://host:19530` of a server, or a Milvus Lite file `….db`, for one process at a time.
            collection: its name.
            token: `user:password` or an API key, if the server needs one.
            timeout_s: per request.

        Raises:
            GalleryError: pymilvus is missing, the server does not answer, or no push to this collection has completed.
        """
        opened = Collection(uri, collection, token, timeout_s)
        try:
            if not opened.exists():
                raise GalleryError(f"{opened.place}: does not exist; create it with `shitu-edge gallery push`")
            state = opened.state()
            if not state.revision:
                raise GalleryError(f"{opened.place}: its first push is not complete; push again")
            opened.load()
            return cls(opened, state, graph=opened.has_graph())
        except BaseException:
            opened.close()
            raise

    def __enter__(self) -> MilvusGallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return self._collection.place

    def close(self) -> None:
        """See `GallerySearch.close`."""
        self._collection.close()

    @property
    def meta(self) -> Meta:
        """The extractor's name and fingerprint, and the dimension."""
        return Meta(self._state.extractor, self._state.fingerprint, self._state.dim)

    def search_with_revision(
        self, queries: Rows, k: int = 5, workers: Executor | None = None
    ) -> tuple[int, list[tuple[Match, ...]]]:
        """See `GallerySearch.search_with_revision`; all queries go in one request, after one for the revision."""
        queries = unit_queries(queries, self._state.dim)
        if k < 1:
            raise GalleryError(f"expected k of at least 1, found {k}")
        state = self._collection.state()
        if (state.gallery, state.fingerprint) != (self._state.gallery, self._state.fingerprint):
            raise GalleryError(f"{self._collection.place}: was replaced by another gallery; open it again")
        if not len(queries):
            return state.revision, []
        return state.revision, self._collection.search(queries, k, state.revision, graph=self._graph)
