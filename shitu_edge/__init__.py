"""shitu-edge: product recognition by retrieval for kiosks and edge devices, with PP-ShiTu networks, without Paddle.

from shitu_edge import Recognizer

with Recognizer.open("models/ppshitu-v2", gallery="shop.gallery") as recognizer:
    for item in recognizer.recognize("counter.jpg").items:
        print(item.decision, item.label, item.similarity, item.box_xyxy)
"""

from .bundle import Bundle, Rule
from .errors import (
    BundleError,
    DamagedError,
    EmbeddingError,
    EngineError,
    FingerprintError,
    ForkError,
    GalleryError,
    ImageError,
    OptionError,
    ShituError,
)
from .gallery import Entry, Gallery, GalleryInfo, GallerySearch, NewItem, Revision
from .recognizer import Recognizer
from .results import (
    Detections,
    Dropped,
    EngineInfo,
    Item,
    Match,
    Provenance,
    Recognition,
    StageTimes,
)
from .stages.decode import DecodeLimits

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "DamagedError",
    "DecodeLimits",
    "Detections",
    "Dropped",
    "EmbeddingError",
    "EngineError",
    "EngineInfo",
    "Entry",
    "FingerprintError",
    "ForkError",
    "Gallery",
    "GalleryError",
    "GalleryInfo",
    "GallerySearch",
    "ImageError",
    "Item",
    "Match",
    "NewItem",
    "OptionError",
    "Provenance",
    "Recognition",
    "Recognizer",
    "Revision",
    "Rule",
    "ShituError",
    "StageTimes",
]
