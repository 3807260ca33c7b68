"""shitu-edge: product recognition by retrieval for kiosks and edge devices, with PP-ShiTu networks, without Paddle.

from shitu_edge import Recognizer

with Recognizer.open("models/ppshitu-v2", gallery="shop.gallery") as recognizer:
    for item in recognizer.recognize("counter.jpg").items:
        print(item.decision, item.label, item.similarity, item.box_xyxy)
"""

from .bundle import Bundle, DecisionPolicy
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
from .gallery import Gallery, GalleryInfo, GalleryItem, GallerySearch, NewGalleryItem, Revision
from .recognizer import Recognizer
from .results import (
    Detections,
    Dropped,
    EngineInfo,
    Match,
    Provenance,
    Recognition,
    RecognizedItem,
    StageTimes,
)
from .stages.decode import DecodeLimits

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "DamagedError",
    "DecisionPolicy",
    "DecodeLimits",
    "Detections",
    "Dropped",
    "EmbeddingError",
    "EngineError",
    "EngineInfo",
    "FingerprintError",
    "ForkError",
    "Gallery",
    "GalleryError",
    "GalleryInfo",
    "GalleryItem",
    "GallerySearch",
    "ImageError",
    "Match",
    "NewGalleryItem",
    "OptionError",
    "Provenance",
    "Recognition",
    "RecognizedItem",
    "Recognizer",
    "Revision",
    "ShituError",
    "StageTimes",
]
