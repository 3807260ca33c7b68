"""Many frames → steady answers: tracks, events and a basket."""

from .frames import Frames, camera_frames, camera_of, folder_frames
from .options import DEFAULT_STREAM, StreamOptions
from .sight import Sight
from .stream import Stream
from .watch import Watch

__all__ = [
    "DEFAULT_STREAM",
    "Frames",
    "Sight",
    "Stream",
    "StreamOptions",
    "Watch",
    "camera_frames",
    "camera_of",
    "folder_frames",
]
