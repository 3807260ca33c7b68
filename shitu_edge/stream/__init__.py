"""Many frames → steady answers: tracks, events and a basket."""

from .options import DEFAULT_STREAM, StreamOptions
from .sight import Sight
from .stream import Stream

__all__ = ["DEFAULT_STREAM", "Sight", "Stream", "StreamOptions"]
