"""A bundle's cohort: embeddings of foreign products, against which a small gallery is calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from .arrays import parse_array, read_listed

MOST_PRODUCTS = 4096
_MOST_BYTES = 32 << 20
_ROUNDING = 0.01
"""How far the length of a row may be off 1: rows are stored in half precision."""


def read_cohort(path: Path, sha256: str, dim: int) -> NDArray[np.float32]:
    """Return the unit rows (C, dim) of products that are not the gallery's.

    Raises:
        BundleError: the file is missing, altered, or does not hold such rows.
    """
    rows = parse_array(read_listed(path, sha256, _MOST_BYTES), str(path))
    if rows is None or rows.shape[1] != dim or not 0 < len(rows) <= MOST_PRODUCTS:
        raise BundleError(f"{path}: expected up to {MOST_PRODUCTS} rows of {dim} numbers")
    rows = rows.astype(np.float32)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(rows, axis=1)
    if not (np.abs(lengths - 1) < _ROUNDING).all():
        raise BundleError(f"{path}: expected unit rows")
    return np.asarray(rows / lengths[:, None], np.float32)
