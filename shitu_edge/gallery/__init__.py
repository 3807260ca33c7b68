"""A gallery: labeled embeddings in one SQLite file, searched exactly or with a derived hnswlib index."""

from .gallery import Gallery, GalleryInfo
from .history import GalleryHistory
from .index import GraphParameters
from .indexing import GalleryIndex
from .live.live import GRAPH_FROM
from .protocol import GallerySearch
from .store import Change, Crop, Diff, GalleryItem, Meta, NewGalleryItem, Origin, Replay, Revision, SettingChange, Step

__all__ = [
    "GRAPH_FROM",
    "Change",
    "Crop",
    "Diff",
    "Gallery",
    "GalleryHistory",
    "GalleryIndex",
    "GalleryInfo",
    "GalleryItem",
    "GallerySearch",
    "GraphParameters",
    "Meta",
    "NewGalleryItem",
    "Origin",
    "Replay",
    "Revision",
    "SettingChange",
    "Step",
]
