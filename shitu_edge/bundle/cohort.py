"""A bundle's cohort: embeddings of foreign products, against which a small gallery is calibrated."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, os_errors_as
from ..system.files import read_bounded

MOST_PRODUCTS = 4096
_MOST_BYTES = 32 << 20
_ROUNDING = 0.01
"""How far the length of a row may be off 1: rows are stored in half precision."""


def read_cohort(path: Path, sha256: str, dim: int) -> NDArray[np.float32]:
    """Return the unit rows (C, dim) of products that are not the gallery's.

    Raises:
        BundleError: the file is missing, altered, or does not hold such rows.
    """
    with os_errors_as(BundleError, path):
        content = read_bounded(path, _MOST_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError(f"{path}: checksum mismatch: bundle.json says {sha256}, found {found}; copy the bundle again")
    return _rows(content, dim, path)


def _rows(content: bytes, dim: int, path: Path) -> NDArray[np.float32]:
    try:
        rows = np.load(BytesIO(content), allow_pickle=False)
    except Exception as error:  # whatever NumPy meets in bytes that are no array
        raise BundleError(f"{path}: is not a NumPy array: {error}") from error
    whole = isinstance(rows, np.ndarray) and rows.dtype.kind == "f" and rows.ndim == 2 and rows.shape[1] == dim
    if not whole or not 0 < len(rows) <= MOST_PRODUCTS:
        raise BundleError(f"{path}: expected up to {MOST_PRODUCTS} rows of {dim} numbers")
    rows = rows.astype(np.float32)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(rows, axis=1)
    if not (np.abs(lengths - 1) < _ROUNDING).all():
        raise BundleError(f"{path}: expected unit rows")
    return np.asarray(rows / lengths[:, None], np.float32)
