"""A bundle's objectness network: weights that tell from an embedding whether it shows a product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from .arrays import parse_array, read_listed

_BEYOND_DIM = 2
"""Rows of the file after those of the embedding: the hidden layer's bias, the output's weights."""
_MOST_BYTES = 4 << 20
_LARGEST = 1e4


def read_objectness(path: Path, sha256: str, dim: int) -> NDArray[np.float32]:
    """Return the weights (dim + 2, H): of a hidden layer, its bias, and of the output.

    Raises:
        BundleError: the file is missing, altered, or does not hold such weights.
    """
    return parse_objectness(read_listed(path, sha256, _MOST_BYTES), dim, str(path))


def parse_objectness(content: bytes, dim: int, where: str) -> NDArray[np.float32]:
    """Return the weights that a NumPy file holds; `where` names it in errors.

    Raises:
        BundleError: they do not fit embeddings of this dimension.
    """
    weights, rows = parse_array(content, where), dim + _BEYOND_DIM
    if weights is None or len(weights) != rows:
        raise BundleError(f"{where}: expected {rows} rows of numbers")
    if not weights.size or not (np.abs(weights) < _LARGEST).all():
        raise BundleError(f"{where}: expected numbers below {_LARGEST:.0f}")
    return np.ascontiguousarray(weights, np.float32)
