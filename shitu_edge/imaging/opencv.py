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
