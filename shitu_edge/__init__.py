"""shitu-edge: product recognition by retrieval for kiosks and edge devices, with PP-ShiTu networks, without Paddle.

from shitu_edge import Recognizer

with Recognizer.open("models/ppshitu-v2", gallery="shop.gallery") as recognizer:
    for item in recognizer.recognize("counter.jpg").items:
        print(item.decision, item.label, item.similarity, item.box_xyxy)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import Bundle, DecisionPolicy, Manifest, Network, Precision, Target, WholeImage
    from .bundle.profile import Profile
    from .camera import CameraProposal, Sighting, SightingKind, calibrate_camera
    from .engines import EngineName
    from .enrollment import (
        Enrollment,
        EnrollmentQuality,
        NothingReadableError,
        Resemblance,
        add_images,
        build_gallery,
        replace_images,
    )
    from .errors import (
        BundleError,
        ClosedError,
        DamagedError,
        EmbeddingError,
        EngineError,
        FingerprintError,
        ForkError,
        GalleryError,
        ImageError,
        MisfitError,
        OptionError,
        PromiseError,
        ShituError,
    )
    from .gallery import (
        Change,
        Crop,
        Diff,
        Gallery,
        GalleryHistory,
        GalleryIndex,
        GalleryInfo,
        GalleryItem,
        GallerySearch,
        GraphParameters,
        Meta,
        NewGalleryItem,
        Origin,
        Replay,
        Revision,
        SettingChange,
        Step,
    )
    from .gallery.labels import NEGATIVE
    from .inputs.found import FoundImages, LabeledImage
    from .inputs.label_folders import LabelFrom
    from .inputs.skipped import Skipped
    from .inputs.sources import find_images
    from .recognizer import Recognizer
    from .results import (
        Box,
        Calibration,
        CalibrationState,
        Decision,
        Detection,
        Detections,
        Dropped,
        DropReason,
        EngineInfo,
        Evidence,
        LabelCandidate,
        LookState,
        Match,
        Provenance,
        Recognition,
        RecognizedItem,
        SecondLook,
        StageTimes,
        Verification,
    )
    from .results.stream import (
        CameraState,
        EventKind,
        FrameCounts,
        LookReason,
        StreamAnswer,
        StreamEvent,
        Track,
        TrackState,
    )
    from .stages.decode import DecodeLimits, DecodeMode, Source
    from .stages.empty_counter import EmptyCounter
    from .stages.moved import CameraMove, MoveState, find_move
    from .stages.regions import Product
    from .stages.second_look import LookMode
    from .stages.view import TileCount, View, Zone
    from .stream import Frames, Stream, StreamOptions, Watch, camera_frames, folder_frames

__version__ = "0.1.0"

__all__ = [
    "NEGATIVE",
    "Box",
    "Bundle",
    "BundleError",
    "Calibration",
    "CalibrationState",
    "CameraMove",
    "CameraProposal",
    "CameraState",
    "Change",
    "ClosedError",
    "Crop",
    "DamagedError",
    "Decision",
    "DecisionPolicy",
    "DecodeLimits",
    "DecodeMode",
    "Detection",
    "Detections",
    "Diff",
    "DropReason",
    "Dropped",
    "EmbeddingError",
    "EmptyCounter",
    "EngineError",
    "EngineInfo",
    "EngineName",
    "Enrollment",
    "EnrollmentQuality",
    "EventKind",
    "Evidence",
    "FingerprintError",
    "ForkError",
    "FoundImages",
    "FrameCounts",
    "Frames",
    "Gallery",
    "GalleryError",
    "GalleryHistory",
    "GalleryIndex",
    "GalleryInfo",
    "GalleryItem",
    "GallerySearch",
    "GraphParameters",
    "ImageError",
    "LabelCandidate",
    "LabelFrom",
    "LabeledImage",
    "LookMode",
    "LookReason",
    "LookState",
    "Manifest",
    "Match",
    "Meta",
    "MisfitError",
    "MoveState",
    "Network",
    "NewGalleryItem",
    "NothingReadableError",
    "OptionError",
    "Origin",
    "Precision",
    "Product",
    "Profile",
    "PromiseError",
    "Provenance",
    "Recognition",
    "RecognizedItem",
    "Recognizer",
    "Replay",
    "Resemblance",
    "Revision",
    "SecondLook",
    "SettingChange",
    "ShituError",
    "Sighting",
    "SightingKind",
    "Skipped",
    "Source",
    "StageTimes",
    "Step",
    "Stream",
    "StreamAnswer",
    "StreamEvent",
    "StreamOptions",
    "Target",
    "TileCount",
    "Track",
    "TrackState",
    "Verification",
    "View",
    "Watch",
    "WholeImage",
    "Zone",
    "add_images",
    "build_gallery",
    "calibrate_camera",
    "camera_frames",
    "find_images",
    "find_move",
    "folder_frames",
    "replace_images",
]

_HOMES = (
    "errors",
    "results",
    "results.stream",
    "bundle",
    "bundle.profile",
    "engines",
    "gallery",
    "gallery.labels",
    "stages.decode",
    "stages.empty_counter",
    "stages.moved",
    "camera",
    "inputs.skipped",
    "inputs.sources",
    "enrollment",
    "recognizer",
    "stages.regions",
    "stages.second_look",
    "stages.view",
    "stream",
)
"""Modules of the public names, searched in this order when a name is first used.

Nothing is loaded before: `shitu-edge --help` takes 0.09 s instead of 0.24 s.
"""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return import_module(f".{name}", __name__)
    for home in _HOMES if name in __all__ else ():
        module = import_module(f".{home}", __name__)
        if hasattr(module, name):
            globals()[name] = found = getattr(module, name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
