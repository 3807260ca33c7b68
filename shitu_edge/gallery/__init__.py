"""A gallery: labelled embeddings in one SQLite file, searched exactly or by a derived hnswlib graph."""

from .gallery import Gallery, GalleryInfo
from .index import GraphParameters
from .live.live import GRAPH_FROM
from .protocol import GallerySearch
from .store import Change, Diff, Entry, NewItem, Revision

__all__ = [
    "GRAPH_FROM",
    "Change",
    "Diff",
    "Entry",
    "Gallery",
    "GalleryInfo",
    "GallerySearch",
    "GraphParameters",
    "NewItem",
    "Revision",
]
