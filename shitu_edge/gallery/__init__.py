"""A gallery: labelled embeddings in one SQLite file, searched exactly or by a derived hnswlib graph."""

from .gallery import GRAPH_FROM, Gallery, GalleryInfo
from .index import GraphParameters
from .sources import LabelledPicture, find_pictures
from .store import NewItem, StoredItem

__all__ = [
    "GRAPH_FROM",
    "Gallery",
    "GalleryInfo",
    "GraphParameters",
    "LabelledPicture",
    "NewItem",
    "StoredItem",
    "find_pictures",
]
