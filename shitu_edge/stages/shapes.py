"""The detector's network in the input shapes that its bundle names; each is opened when an image first asks for it."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import DetectorSpec, InputSpec
from ..engines import Session
from ..errors import EngineError
from ..imaging.geometry import Pixels
from ..imaging.preprocess import InputBuilder
from ..system.memory import release_freed_memory
from ..system.workers import Workers

_log = logging.getLogger(__name__)

_HARMLESS = math.log(1.6)
"""Distortion by its own shape from which on another one is taken. Less costs nothing (`benchmarks/shapes.py`), while a
network costs time and memory.
"""


class ShapedNetwork:
    """A network that is open for one input shape; `spec` has that shape."""

    def __init__(self, session: Session, spec: DetectorSpec, workers: Workers | None = None) -> None:
        """`workers`: threads that share the resizing of images, if any."""
        self.spec = spec
        self._session = session
        self._input = InputBuilder(spec.network.input, workers)
        self._constants = {name: np.array(value, np.float32) for name, value in spec.network.constants.items()}

    def run(self, pixels_rgb: Pixels) -> Mapping[str, NDArray[Any]]:
        """Return the network's outputs for pixels (H, W, 3) uint8 RGB."""
        tensor = self._input.tensor()
        self._input.fill(tensor[0], pixels_rgb)
        return self._session.run({self.spec.network.input.name: tensor, **self._constants})


class Shapes:
    """Chooses the input shape for an image: its own, or the one that distorts the image far less. Thread-safe.

    Args:
        own: the network in its own shape.
        reopen: opens it for another input; without it there is only its own shape.
        workers: as in `ShapedNetwork`.
    """

    def __init__(
        self, own: ShapedNetwork, reopen: Callable[[InputSpec], Session] | None, workers: Workers | None
    ) -> None:
        image = own.spec.network.input
        self._own = own
        self._reopen = reopen
        self._workers = workers
        self._opened = {(image.height, image.width): own}
        self._shapes = (*self._opened, *(own.spec.shapes if reopen else ()))
        self._lock = threading.Lock()

    def of(self, height: int, width: int) -> ShapedNetwork:
        """Return the network for an image of this size; in its own shape if the engine refuses the better one."""
        shape = self._best(height, width)
        if shape not in self._opened:
            with self._lock:
                if shape not in self._opened:
                    self._opened[shape] = self._open(shape)
        return self._opened[shape]

    def distortion(self, height: float, width: float) -> float:
        """Return how much the shape for an image of this size distorts it."""
        return distortion(self._best(height, width), (height, width))

    def _best(self, height: float, width: float) -> tuple[int, int]:
        own, *_ = self._shapes
        if distortion(own, (height, width)) <= _HARMLESS:
            return own
        return min(self._shapes, key=lambda shape: distortion(shape, (height, width)))

    def _open(self, shape: tuple[int, int]) -> ShapedNetwork:
        assert self._reopen is not None, "there is only its own shape"
        network = self._own.spec.network
        image = replace(network.input, height=shape[0], width=shape[1])
        try:
            spec = replace(self._own.spec, network=replace(network, input=image))
            opened = ShapedNetwork(self._reopen(image), spec, self._workers)
            opened.run(np.zeros((*shape, 3), np.uint8))  # onnxruntime refuses some graphs only when they run
            release_freed_memory()
        except EngineError as error:
            own = f"{network.input.height} × {network.input.width}"
            _log.warning("%s keeps its own shape, %s, instead of %d × %d: %s", network.name, own, *shape, error)
            return self._own
        return opened


def distortion(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return by which factor two sizes (height, width) differ in their aspect, as its logarithm: 0 for the same."""
    return abs(math.log(one[1] * other[0] / (one[0] * other[1])))
