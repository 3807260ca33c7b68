"""Resizing as the networks were trained with: OpenCV's `resize`, or where it is not installed our own, which equals it.

OpenCV is taken wherever there is one (`opencv.py`). It resizes in a tenth of the time
(`benchmarks/resample.py`), which is 5 % of a recognition by the official networks. Both give the same gray levels: to
the bit when bilinear, to one level when cubic (`tests/imaging/test_resample.py`).
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from . import resample
from .opencv import opencv, opencv_version
from .resample import Kernel, Pixels, Planes, normalize


def resizer() -> str:
    """Return what resizes here: OpenCV with its version, or shitu-edge."""
    cv2 = opencv()
    return "shitu-edge" if cv2 is None else opencv_version(cv2)


def resize(
    image_rgb: Pixels,
    height: int,
    width: int,
    kernel: Kernel,
    out: Planes | None = None,
    gain: Planes | None = None,
    bias: Planes | None = None,
    workers: Executor | None = None,
) -> Planes:
    """Resize and normalize; see `resample.resize`. OpenCV has threads of its own and leaves `workers` alone."""
    cv2 = opencv()
    if cv2 is None:
        return resample.resize(image_rgb, height, width, kernel, out, gain, bias, workers)
    flag = cv2.INTER_LINEAR if kernel == "bilinear" else cv2.INTER_CUBIC
    levels = cv2.resize(image_rgb, (width, height), interpolation=flag)
    if out is None:
        out = np.empty((levels.shape[2], height, width), np.float32)
    for plane, gray in zip(out, cv2.split(levels), strict=True):
        plane[:] = gray
    return normalize(out, gain, bias)
