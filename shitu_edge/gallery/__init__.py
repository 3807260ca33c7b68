"""A gallery: labeled embeddings in one SQLite file, searched exactly or with a derived hnswlib index."""

from .gallery import Gallery, GalleryInfo
from .index import GraphParameters
from .live.live import GRAPH_FROM
from .protocol import GallerySearch
from .store import Change, Diff, GalleryItem, NewGalleryItem, Revision

__all__ = [
    "GRAPH_FROM",
    "Change",
    "Diff",
    "Gallery",
    "GalleryInfo",
    "GalleryItem",
    "GallerySearch",
    "GraphParameters",
    "NewGalleryItem",
    "Revision",
]
