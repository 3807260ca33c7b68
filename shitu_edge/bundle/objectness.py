"""A bundle's objectness network: weights that tell from an embedding whether it shows a product."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, os_errors_as
from ..system.files import read_bounded

BEYOND_DIM = 2
"""Rows of the file after those of the embedding: the hidden layer's bias, the output's weights."""
_MOST_BYTES = 4 << 20
_LARGEST = 1e4


def read_objectness(path: Path, sha256: str, dim: int) -> NDArray[np.float32]:
    """Return the weights (dim + 2, H): of a hidden layer, its bias, and of the output.

    Raises:
        BundleError: the file is missing, altered, or does not hold such weights.
    """
    with os_errors_as(BundleError, path):
        content = read_bounded(path, _MOST_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError(f"{path}: checksum mismatch: bundle.json says {sha256}, found {found}; copy the bundle again")
    return parse_objectness(content, dim, str(path))


def parse_objectness(content: bytes, dim: int, where: str) -> NDArray[np.float32]:
    """Return the weights that a NumPy file holds; `where` names it in errors.

    Raises:
        BundleError: they are none for embeddings of this dimension.
    """
    try:
        weights = np.load(BytesIO(content), allow_pickle=False)
    except Exception as error:  # whatever NumPy meets in bytes that are no array
        raise BundleError(f"{where}: is not a NumPy array: {error}") from error
    rows = dim + BEYOND_DIM
    if not isinstance(weights, np.ndarray) or weights.dtype.kind != "f" or weights.ndim != 2 or len(weights) != rows:
        raise BundleError(f"{where}: expected {rows} rows of numbers")
    if not weights.size or not (np.abs(weights) < _LARGEST).all():
        raise BundleError(f"{where}: expected numbers below {_LARGEST:.0f}")
    return np.ascontiguousarray(weights, np.float32)
