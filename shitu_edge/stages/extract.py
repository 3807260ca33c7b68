"""Extractor: pixels and boxes → unit rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..bundle import ExtractorSpec
from ..engines import Session
from ..errors import EmbeddingError, EngineError
from ..imaging.geometry import Boxes, Pixels
from ..imaging.preprocess import InputBuilder
from ..system.workers import Workers


class Extractor:
    """Turns crops into unit vectors. Thread-safe.

    One worker resizes and runs each crop, as many in parallel as the session has streams. On two cores that is as fast
    as one large batch and faster than all threads on one crop (`benchmarks/extract.py`).
    """

    def __init__(self, session: Session, spec: ExtractorSpec, streams: int) -> None:
        """`streams`: number of concurrent runs of the session."""
        self.engine = session.info
        self.workers = Workers(streams)
        self._session = session
        self._spec = spec
        self._input = InputBuilder(spec.network.input)

    def embed(self, pixels_rgb: Pixels, boxes_xyxy: Boxes) -> NDArray[np.float32]:
        """Embed the parts of pixels (H, W, 3) uint8 RGB inside boxes (N, 4) in pixels.

        Returns:
            Unit rows (N, D) float32, in the boxes' order.

        Raises:
            EmbeddingError: the network's output is zero or not finite.
        """
        return self.embed_crops([crop(pixels_rgb, box) for box in boxes_xyxy])

    def embed_crops(self, crops: list[Pixels]) -> NDArray[np.float32]:
        """Embed whole images, each (h, w, 3) uint8 RGB; see `embed`."""
        if not crops:
            return np.empty((0, self._spec.dim), np.float32)
        return _unit(np.stack(list(self.workers.map(self._embed, crops))))

    def close(self) -> None:
        """End the worker threads."""
        self.workers.shutdown()

    def _embed(self, pixels_rgb: Pixels) -> NDArray[np.float32]:
        tensor = self._input.tensor()
        self._input.fill(tensor[0], pixels_rgb)
        outputs = self._session.run({self._spec.network.input.name: tensor})
        row = outputs.get(self._spec.output)
        if row is None or row.size != self._spec.dim:
            found = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
            raise EngineError(f"expected the output {self._spec.output} with {self._spec.dim} numbers, found {found}")
        return row.reshape(-1).astype(np.float32, copy=False)


def crop(pixels_rgb: Pixels, box_xyxy: NDArray[np.float32]) -> Pixels:
    """Return a view, never empty, of the pixels in a box, whose sides are truncated to integers as in PaddleClas."""
    height, width = pixels_rgb.shape[:2]
    x1, y1, x2, y2 = (int(side) for side in box_xyxy)
    x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return pixels_rgb[y1 : min(max(y2, y1 + 1), height), x1 : min(max(x2, x1 + 1), width)]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise EmbeddingError("the extractor's output is zero or not finite; test the engines with `shitu-edge doctor`")
    rows /= norms
    return rows
