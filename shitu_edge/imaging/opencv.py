"""OpenCV, if installed (extra `opencv`, 72 MB): it decodes and resizes images faster."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def opencv() -> Any | None:
    """Return OpenCV; None if it is not installed or lacks a system library."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def opencv_version(cv2: Any) -> str:
    """Return what an answer's provenance says of OpenCV."""
    return f"OpenCV {cv2.__version__}"
