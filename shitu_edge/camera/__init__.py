"""Frames of a mounted camera → its view: the empty counter, the region, zones to ignore, sizes and tiles.

calibrate.py    calibrate_camera: the steps, and what is unsure about the result
frames.py       reads frames, and finds what they show
reference.py    the empty counter, pieced together from frames with things on it
layout.py       region, zones, sizes and tiles, from the boxes that were seen
proposal.py     the result
"""

from .calibrate import calibrate_camera
from .proposal import CameraProposal, Sighting, SightingKind

__all__ = ["CameraProposal", "Sighting", "SightingKind", "calibrate_camera"]
