"""Pixels → a network's input tensor, as its `InputSpec` says. Pure but for a buffer a thread."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import InputSpec
from .resample import resize


class InputBuilder:
    """Fills input tensors of one network. The tensors are kept, per thread."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        std = np.array(spec.std, np.float32)
        self._gain = np.float32(spec.scale) / std
        self._bias = -np.array(spec.mean, np.float32) / std
        self._local = threading.local()

    def tensors(self, count: int) -> NDArray[Any]:
        """Return this thread's input tensors for `count` pictures; they are valid until this thread asks again."""
        tensors: NDArray[Any] | None = getattr(self._local, "tensors", None)
        if tensors is None or len(tensors) < count:
            tensors = self._local.tensors = np.empty(self._spec.shape(count), self._spec.dtype)
        return tensors[:count]

    def fill(self, slot: NDArray[Any], pixels_rgb: NDArray[np.uint8]) -> None:
        """Resize, normalise and lay out pixels (h, w, 3) uint8 into one picture's slot of a tensor."""
        spec = self._spec
        direct = spec.layout == "NCHW" and spec.dtype == "float32" and spec.color == "RGB"
        gain, bias = (self._gain, self._bias) if spec.dtype == "float32" else (None, None)
        planes = resize(pixels_rgb, spec.height, spec.width, spec.resize, slot if direct else None, gain, bias)
        if not direct:
            planes = planes[::-1] if spec.color == "BGR" else planes
            slot[:] = planes if spec.layout == "NCHW" else planes.transpose(1, 2, 0)
