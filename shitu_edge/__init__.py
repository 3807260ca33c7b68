"""shitu-edge: product recognition by retrieval for kiosks and edge devices, with PP-ShiTu networks, without Paddle.

from shitu_edge import Recognizer

with Recognizer.open("models/ppshitu-v2", gallery="shop.gallery") as recognizer:
    for item in recognizer.recognize("counter.jpg").items:
        print(item.decision, item.label, item.similarity, item.box_xyxy)
"""

from .bundle import Bundle, Rule
from .decode import DecodeLimits
from .errors import (
    BundleError,
    EmbeddingError,
    EngineError,
    FingerprintError,
    GalleryError,
    ImageError,
    OptionError,
    ShituError,
)
from .gallery import Gallery, GalleryInfo, NewItem
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

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "DecodeLimits",
    "Detections",
    "Dropped",
    "EmbeddingError",
    "EngineError",
    "EngineInfo",
    "FingerprintError",
    "Gallery",
    "GalleryError",
    "GalleryInfo",
    "ImageError",
    "Item",
    "Match",
    "NewItem",
    "OptionError",
    "Provenance",
    "Recognition",
    "Recognizer",
    "Rule",
    "ShituError",
    "StageTimes",
]
