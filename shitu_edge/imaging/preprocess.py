"""Pixels → a network's input tensor by its `InputSpec`. Pure, except for a buffer per thread."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import InputSpec
from ..system.workers import Workers
from .geometry import Pixels
from .resample import resize


class InputBuilder:
    """Fills input tensors of one network; keeps one per thread.

    Args:
        spec: input specification.
        workers: threads that share large resizes, if any.
    """

    def __init__(self, spec: InputSpec, workers: Workers | None = None) -> None:
        self._spec = spec
        self._workers = workers if workers and workers.count > 1 else None
        std = np.array(spec.std, np.float32)
        self._gain = np.float32(spec.scale) / std
        self._bias = -np.array(spec.mean, np.float32) / std
        self._local = threading.local()

    def tensor(self) -> NDArray[Any]:
        """Return this thread's input tensor for one image, valid until its next call."""
        if not hasattr(self._local, "tensor"):
            self._local.tensor = np.empty(self._spec.shape(), self._spec.dtype)
        tensor: NDArray[Any] = self._local.tensor
        return tensor

    def fill(self, slot: NDArray[Any], pixels_rgb: Pixels) -> None:
        """Resize, normalize and lay out pixels (h, w, 3) uint8 into one image's slot of a tensor."""
        spec = self._spec
        direct = spec.layout == "NCHW" and spec.dtype == "float32" and spec.color == "RGB"
        gain, bias = (self._gain, self._bias) if spec.dtype == "float32" else (None, None)
        out = slot if direct else None
        planes = resize(pixels_rgb, spec.height, spec.width, spec.resize, out, gain, bias, self._workers)
        if not direct:
            planes = planes[::-1] if spec.color == "BGR" else planes
            slot[:] = planes if spec.layout == "NCHW" else planes.transpose(1, 2, 0)
